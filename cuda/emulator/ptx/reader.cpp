// SPDX-License-Identifier: Apache-2.0
// PTX text to a Program: PTX ISA, "Syntax", "State Spaces, Types, and Variables" and "Directives".
#include <algorithm>
#include <charconv>

#include "reader.h"

namespace emu::ptx {

Type type_of(std::string_view name) {
  using enum Kind;
  static const std::map<std::string_view, Type> types = {
      {"b8", {kBits, 8, 1}},      {"b16", {kBits, 16, 1}},    {"b32", {kBits, 32, 1}},     {"b64", {kBits, 64, 1}},
      {"u8", {kUnsigned, 8, 1}},  {"u16", {kUnsigned, 16, 1}}, {"u32", {kUnsigned, 32, 1}}, {"u64", {kUnsigned, 64, 1}},
      {"s8", {kSigned, 8, 1}},    {"s16", {kSigned, 16, 1}},  {"s32", {kSigned, 32, 1}},   {"s64", {kSigned, 64, 1}},
      {"f16", {kFloat, 16, 1}},   {"f32", {kFloat, 32, 1}},   {"f64", {kFloat, 64, 1}},    {"f16x2", {kFloat, 16, 2}},
      {"bf16", {kBfloat, 16, 1}}, {"bf16x2", {kBfloat, 16, 2}}, {"pred", {kPredicate, 32, 1}},
      {"u16x2", {kUnsigned, 16, 2}}, {"s16x2", {kSigned, 16, 2}}, {"b128", {kBits, 128, 1}},
      {"f32x2", {kFloat, 32, 2}},
  };
  const auto it = types.find(name);
  return it == types.end() ? Type{} : it->second;
}

namespace {

// Attributes of a kernel that concern its speed, or limits that we read elsewhere
const char* const kKernelHints[] = {".minnctapersm", ".maxnreg", ".maxclusterrank", ".noreturn", ".abi_preserve", ".abi_preserve_control",
                                    ".pragma"};

}  // namespace

Space space_of(std::string_view name) {
  return name == ".global" ? Space::kGlobal : name == ".shared" ? Space::kShared : name == ".local" ? Space::kLocal
         : name == ".const" ? Space::kConst : name == ".param" ? Space::kParam : Space::kGeneric;
}

Program Reader::module() {
  while (t_.next().form != Token::kEnd) directive();
  return std::move(program_);
}

void Reader::directive() {
  if (t_.accept(".version")) {
    if (t_.next().form != Token::kNumber) t_.refuse("expected a version of PTX");
    t_.take();
    return;
  }
  if (t_.accept(".target")) {
    do t_.word();
    while (t_.accept(","));
    return;
  }
  if (t_.accept(".address_size")) {
    if (t_.integer() != 64) t_.refuse("only 64-bit addresses are supported");
    return;
  }
  if (t_.next().is(".file")) return file();
  if (t_.accept(".section")) {
    t_.skip_to("{");
    t_.skip_to("}");
    return;
  }
  if (t_.next().is(".loc")) return t_.skip_line();
  if (t_.next().is(".pragma")) return t_.skip_to(";");
  bool external = false;
  while (t_.next().is(".visible") || t_.next().is(".extern") || t_.next().is(".weak") || t_.next().is(".common"))
    external |= t_.take().text == ".extern";
  if (t_.accept(".entry")) return function(true);
  if (t_.accept(".func")) return function(false);
  const Space space = space_of(t_.next().text);
  if (space == Space::kGeneric || space == Space::kLocal || space == Space::kParam)
    t_.refuse("unknown directive '" + std::string(t_.next().text.substr(0, 60)) + "'");
  t_.take();
  do program_.variables.push_back(variable(space, external));
  while (t_.accept(","));
  t_.expect(";");
}

void Reader::file() {
  const unsigned line = t_.line();
  t_.take();
  const auto number = static_cast<unsigned>(t_.integer());
  if (t_.next().form == Token::kString) program_.files[number] = std::string(t_.take().text);
  if (t_.line() == line) t_.skip_line();  // time and size of the file
}

char kind_of(Type type, size_t vector) {
  if (vector != 1 || type.packed != 1) return '?';
  if (type.kind == Kind::kFloat) return 'f';
  return (type.kind == Kind::kUnsigned || type.kind == Kind::kSigned) && type.bits < 64 ? 'i' : '?';
}

// After the state space: [.align n] [.v2|.v4] .type name[dims] [= initial value]
Variable Reader::variable(Space space, bool external) {
  Variable v;
  v.space = space;
  v.external = external;
  v.line = t_.line();
  size_t vector = 1, align = 0, pointee_align = 0;
  bool pointee = false;  // .ptr: what follows is about the memory that the parameter points to
  Type type;
  while (t_.next().form == Token::kWord && t_.next().text[0] == '.') {
    const std::string_view word = t_.take().text;
    if (word == ".align") (pointee ? pointee_align : align) = static_cast<size_t>(t_.integer());
    else if (word == ".ptr") pointee = true;
    else if (word == ".v2" || word == ".v4") vector = static_cast<size_t>(word[2] - '0');
    else if (word == ".attribute") t_.skip_to(")");
    else if (pointee && space_of(word) != Space::kGeneric) continue;
    else if ((type = type_of(word.substr(1))).kind == Kind::kNone) t_.refuse("unknown type '" + std::string(word) + "'");
  }
  if (type.kind == Kind::kNone) t_.refuse("a variable without a type");
  if (type.bits > 64) t_.refuse("a variable of 128 bits");
  v.name = t_.word();
  const size_t element = type.bytes() * vector;
  v.align = std::max(align, element);
  v.bytes = element;
  v.kind = kind_of(type, vector);
  bool open = false;
  while (t_.accept("[")) {
    if (t_.accept("]")) {
      open = true;
      continue;
    }
    const int64_t count = t_.integer();
    if (count < 0 || count > (1 << 30)) t_.refuse("array of " + std::to_string(count) + " elements");
    v.bytes *= static_cast<size_t>(count);
    v.kind = '?';
    if (v.bytes > (size_t{1} << 32)) t_.refuse("variable " + v.name + " is too large");
    t_.expect("]");
  }
  if (open) v.bytes = 0;
  if (v.align == 0 || (v.align & (v.align - 1)) ||
      v.align > 4096) t_.refuse("alignment of " + v.name + " is not a power of two up to 4096");
  if (t_.accept("=")) {
    initial(v, type);
    if (open) v.bytes = v.initial.size();
    if (v.initial.size() > v.bytes) t_.refuse("too many values for " + v.name);
    v.initial.resize(v.bytes);
  }
  return v;
}

void Reader::initial(Variable& v, Type type) {
  const Deeper deeper(*this);
  if (t_.accept("{")) {
    if (t_.accept("}")) return;
    do initial(v, type);
    while (t_.accept(","));
    t_.expect("}");
    return;
  }
  const size_t offset = v.initial.size(), n = type.bytes();
  v.initial.resize(offset + n);
  if (t_.next().form == Token::kWord) {
    Relocation r{offset, n, "", 0};
    const bool generic = t_.accept("generic");
    if (generic) t_.expect("(");
    r.symbol = t_.word();
    if (generic) t_.expect(")");
    if (t_.accept("+")) r.addend = t_.integer();
    else if (t_.next().is("-")) r.addend = t_.integer();
    v.relocations.push_back(r);
    return;
  }
  const Arg value = number();
  uint64_t bits = value.bits;
  if (value.form == Arg::kReal || (value.form == Arg::kBitsOfReal && value.index != type.bits)) {
    double real = value.real;
    float single = static_cast<float>(real);
    if (type.bits == 64) __builtin_memcpy(&bits, &real, 8);
    else if (type.bits == 32) bits = 0, __builtin_memcpy(&bits, &single, 4);
    else t_.refuse("a floating-point value for another type");
  }
  __builtin_memcpy(v.initial.data() + offset, &bits, n);
}

// An integer, 0f and 0d bits, or a decimal real, with its sign.
Arg Reader::number() {
  const bool negative = t_.accept("-");
  if (t_.next().form != Token::kNumber) t_.refuse("expected a number before '" + std::string(t_.next().text.substr(0, 60)) + "'");
  const std::string_view text = t_.take().text;
  Arg a;
  if (text.size() > 2 && text[0] == '0' && (text[1] | 32) == 'f') {
    uint32_t bits = 0;
    std::from_chars(text.data() + 2, text.data() + text.size(), bits, 16);
    a.form = Arg::kBitsOfReal;
    a.index = 32;
    a.bits = bits ^ (negative ? 1u << 31 : 0);
    float f;
    __builtin_memcpy(&f, &bits, 4);
    a.real = negative ? -f : f;
  } else if (text.size() > 2 && text[0] == '0' && (text[1] | 32) == 'd') {
    std::from_chars(text.data() + 2, text.data() + text.size(), a.bits, 16);
    a.form = Arg::kBitsOfReal;
    a.index = 64;
    a.bits ^= uint64_t{negative} << 63;
    __builtin_memcpy(&a.real, &a.bits, 8);
  } else if (parse_integer(text, a.bits)) {
    a.form = Arg::kInteger;
    if (negative) a.bits = -a.bits;
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), a.real);
    if (error != std::errc() || end != text.data() + text.size()) t_.refuse("'" + std::string(text) + "' is no number");
    a.form = Arg::kReal;
    if (negative) a.real = -a.real;
  }
  return a;
}

void Reader::parameters(FunctionText& f, size_t& count) {
  if (!t_.accept("(")) return;
  if (t_.accept(")")) return;
  do {
    if (!t_.accept(".param")) t_.refuse("parameters of function " + f.name + " are not in .param space");
    f.variables.push_back(variable(Space::kParam, false));
    declare(f.variables.back().name, {false, static_cast<uint32_t>(f.variables.size() - 1)});
    count++;
  } while (t_.accept(","));
  t_.expect(")");
}

void Reader::function(bool entry) {
  FunctionText f;
  f.entry = entry;
  f.line = t_.line();
  scopes_.assign(1, {});
  if (!entry) {
    while (t_.accept(".attribute")) t_.skip_to(")");
    parameters(f, f.results);
  }
  f.name = t_.word();
  parameters(f, f.parameters);
  while (t_.next().form == Token::kWord) {
    const std::string_view word = t_.take().text;
    if (word == ".maxntid" || word == ".reqntid") {
      f.max_threads = 1;
      do f.max_threads *= static_cast<unsigned>(t_.integer());
      while (t_.accept(","));
    } else if (std::find(std::begin(kKernelHints), std::end(kKernelHints), word) != std::end(kKernelHints)) {
      while (t_.next().form == Token::kNumber || t_.next().form == Token::kString || t_.next().is(",") || t_.next().is(";")) t_.take();
    } else if (word == ".explicitcluster" || word == ".reqnctapercluster") {
      t_.refuse("kernel " + f.name + " asks for clusters of blocks ('" + std::string(word) + "'), which this device does not have");
    } else {
      t_.refuse("unknown attribute '" + std::string(word) + "' of " + f.name);
    }
  }
  if (t_.accept(";")) {
    program_.functions.push_back(std::move(f));
    return;
  }
  f.defined = true;
  function_ = &f;
  t_.expect("{");
  place_ = {};
  body();
  program_.functions.push_back(std::move(f));
}

Program read(std::string_view text) { return Reader(text).module(); }

}  // namespace emu::ptx
