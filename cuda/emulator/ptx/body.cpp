// SPDX-License-Identifier: Apache-2.0
// The inside of a function: declarations, labels, statements and their operands.
#include "reader.h"

namespace emu::ptx {

void Reader::declare(const std::string& name, Meaning meaning) {
  if (!scopes_.back().emplace(name, meaning).second) t_.refuse("'" + name + "' is declared twice");
}

Reader::Deeper::Deeper(Reader& r) : r_(r) {
  if (++r.depth_ > 200) r.t_.refuse("braces, brackets or signs that are nested too deeply");
}

// Labels of inner braces are theirs alone: inline assembly that is there several times has the same ones each time. They have names of
// their own, which what refers to them from inside the braces gets here; the statements inside begin at `first`.
void Reader::keep_inside(size_t first) {
  const std::map<std::string, std::string>& names = labels_.back();
  const auto rename = [&](std::string& name) {
    if (const auto it = names.find(name); it != names.end()) name = it->second;
  };
  if (labels_.size() == 1 || names.empty()) return;
  for (size_t i = first; i < function_->statements.size(); i++)
    for (Arg& a : function_->statements[i].args)
      if (a.form == Arg::kName) rename(a.name);
  for (const auto& [name, own] : names)
    if (const auto list = function_->targets.find(own); list != function_->targets.end())
      for (std::string& target : list->second) rename(target);
}

// From behind the opening brace to behind the closing one.
void Reader::body() {
  const Deeper deeper(*this);
  const size_t first = function_->statements.size();
  scopes_.emplace_back();
  labels_.emplace_back();
  while (!t_.accept("}")) {
    const Token& next = t_.next();
    if (next.form == Token::kEnd) t_.refuse("function " + function_->name + " does not end");
    if (t_.accept("{")) body();
    else if (t_.accept(";")) continue;
    else if (next.is(".reg")) registers();
    else if (next.is(".loc")) location();
    else if (next.is(".pragma")) t_.skip_to(";");
    else if (next.form == Token::kWord && t_.ahead(1).is(":")) {
      std::string name(t_.take().text);
      t_.take();
      label(name);
    } else if (const Space space = space_of(next.text); space != Space::kGeneric) {
      t_.take();
      do {
        function_->variables.push_back(variable(space, false));
        declare(function_->variables.back().name, {false, static_cast<uint32_t>(function_->variables.size() - 1)});
      } while (t_.accept(","));
      t_.expect(";");
    } else {
      statement();
    }
  }
  keep_inside(first);
  labels_.pop_back();
  scopes_.pop_back();
}

void Reader::registers() {
  t_.take();
  Type type;
  size_t vector = 1;
  while (t_.next().form == Token::kWord && t_.next().text[0] == '.') {
    const std::string_view word = t_.take().text;
    if (word == ".v2" || word == ".v4") vector = static_cast<size_t>(word[2] - '0');
    else if ((type = type_of(word.substr(1))).kind == Kind::kNone) t_.refuse("registers of unknown type '" + std::string(word) + "'");
  }
  if (type.kind == Kind::kNone) t_.refuse("registers without a type");
  if (vector > 1) t_.refuse("vector registers are not supported");
  const auto add = [&](std::string name) {
    if (function_->registers.size() == 1'000'000) t_.refuse("too many registers");
    declare(name, {true, static_cast<uint32_t>(function_->registers.size())});
    function_->registers.push_back({std::move(name), type});
  };
  do {
    const std::string name(t_.word());
    if (!t_.accept("<")) {
      add(name);
      continue;
    }
    const int64_t count = t_.integer();
    if (count < 0 || count > 1'000'000) t_.refuse("too many registers");
    t_.expect(">");
    for (int64_t i = 0; i < count; i++) add(name + std::to_string(i));
  } while (t_.accept(","));
  t_.expect(";");
}

// A label, or one of the lists and prototypes that are written like it
void Reader::label(const std::string& written) {
  std::string name = written;
  if (labels_.size() > 1) name += " of inner braces " + std::to_string(++inner_labels_);
  if (!labels_.back().emplace(written, name).second) t_.refuse("label '" + written + "' is there twice");
  if (t_.accept(".branchtargets")) {
    std::vector<std::string>& targets = function_->targets[name];
    do targets.emplace_back(t_.word());
    while (t_.accept(","));
    t_.expect(";");
  } else if (t_.next().is(".callprototype") || t_.next().is(".calltargets")) {
    t_.skip_to(";");
  } else {
    function_->labels.emplace(name, function_->statements.size());
  }
}

void Reader::location() {
  const unsigned line = t_.line();
  t_.take();
  place_.file = static_cast<unsigned>(t_.integer());
  place_.line = static_cast<unsigned>(t_.integer());
  place_.column = static_cast<unsigned>(t_.integer());
  if (t_.line() == line) t_.skip_line();  // function_name, inlined_at
}

void Reader::statement() {
  Statement s;
  s.place = place_;
  s.place.ptx_line = t_.line();
  if (t_.accept("@")) {
    s.guarded = true;
    s.guard = simple();
    if (s.guard.form != Arg::kRegister || function_->registers[s.guard.index].type.kind != Kind::kPredicate)
      t_.refuse("a guard that is no predicate");
  }
  s.opcode = t_.word();
  if (s.opcode[0] == '.') t_.refuse("unknown directive '" + s.opcode + "'");
  if (!t_.next().is(";")) s.args = list(";");
  else t_.take();
  function_->statements.push_back(std::move(s));
}

std::vector<Arg> Reader::list(std::string_view end) {
  std::vector<Arg> args;
  if (t_.accept(end)) return args;
  do args.push_back(argument());
  while (t_.accept(","));
  t_.expect(end);
  return args;
}

Arg Reader::argument() {
  const Deeper deeper(*this);
  Arg a;
  if (t_.accept("{")) {
    a.form = Arg::kVector;
    a.parts = list("}");
    return a;
  }
  if (t_.accept("(")) {
    a.form = Arg::kGroup;
    a.parts = list(")");
    return a;
  }
  if (t_.accept("[")) {
    a.form = Arg::kAddress;
    a.parts.push_back(simple());
    if (t_.accept("+") || t_.next().is("-")) a.offset = t_.integer();
    if (t_.accept(",")) a.parts.push_back(argument());  // the coordinates of a box
    t_.expect("]");
    return a;
  }
  a = simple();
  if (t_.accept("|")) {
    Arg pair;
    pair.form = Arg::kPair;
    pair.parts = {a, simple()};
    return pair;
  }
  if (a.form == Arg::kName || a.form == Arg::kLocal) {  // the address of a variable and a distance
    if (t_.accept("+") || t_.next().is("-")) a.offset = t_.integer();
  }
  return a;
}

Arg Reader::simple() {
  const Deeper deeper(*this);
  if (t_.accept("!")) {
    Arg a = simple();
    a.negated = !a.negated;
    return a;
  }
  if (t_.next().form == Token::kWord) return named(t_.take().text);
  return number();
}

Arg Reader::named(std::string_view name) const {
  Arg a;
  if (name == "_") return a;
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    const auto it = scope->find(name);
    if (it == scope->end()) continue;
    a.form = it->second.is_register ? Arg::kRegister : Arg::kLocal;
    a.index = it->second.index;
    return a;
  }
  a.form = Arg::kName;
  a.name = name;
  return a;
}

}  // namespace emu::ptx
