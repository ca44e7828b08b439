// SPDX-License-Identifier: Apache-2.0
#include "tokens.h"

#include <algorithm>
#include <charconv>

namespace emu::ptx {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%'; }
bool in_word(char c) { return letter(c) || digit(c) || c == '.'; }

}  // namespace

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  unsigned line = 1;
  size_t i = 0;
  const size_t n = text.size();
  const auto at = [&](size_t k) { return k < n ? text[k] : '\0'; };
  while (i < n) {
    const char c = text[i];
    if (c == '\n') {
      line++;
      i++;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      i++;
    } else if (c == '/' && at(i + 1) == '/') {
      while (i < n && text[i] != '\n') i++;
    } else if (c == '/' && at(i + 1) == '*') {
      const size_t end = text.find("*/", i + 2);
      if (end == std::string_view::npos) throw Refused(line, "a comment that does not end");
      line += static_cast<unsigned>(std::count(text.begin() + static_cast<long>(i), text.begin() + static_cast<long>(end), '\n'));
      i = end + 2;
    } else if (c == '"') {
      size_t end = i + 1;
      while (end < n && text[end] != '"' && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
      if (end >= n || text[end] != '"') throw Refused(line, "a string that does not end");
      tokens.push_back({Token::kString, text.substr(i + 1, end - i - 1), line});
      i = end + 1;
    } else if (digit(c)) {
      size_t end = i + 1;
      while (end < n && (in_word(text[end]) || ((text[end] == '-' || text[end] == '+') && (text[end - 1] == 'e' || text[end - 1] == 'E') &&
                                                text.substr(i, 2) != "0x" && text.substr(i, 2) != "0f" && text.substr(i, 2) != "0d")))
        end++;
      tokens.push_back({Token::kNumber, text.substr(i, end - i), line});
      i = end;
    } else if (letter(c) || (c == '.' && letter(at(i + 1)))) {
      size_t end = i + 1;
      const bool directive = c == '.';  // ".reg.b32" is two words
      while (end < n && ((in_word(text[end]) && !(directive && text[end] == '.')) || (text[end] == ':' &&
          at(end + 1) == ':'))) end += text[end] == ':' ? 2 : 1;
      tokens.push_back({Token::kWord, text.substr(i, end - i), line});
      i = end;
    } else if (std::string_view("{}[]()<>,;:=+-!|@").find(c) != std::string_view::npos) {
      tokens.push_back({Token::kPunctuation, text.substr(i, 1), line});
      i++;
    } else {
      throw Refused(line, std::string("unexpected character '") + c + "'");
    }
  }
  tokens.push_back({Token::kEnd, "end of the module", line});
  return tokens;
}

Token Tokens::take() {
  const Token& t = tokens_[at_];
  if (t.form != Token::kEnd) at_++;
  return t;
}

bool Tokens::accept(std::string_view what) {
  if (!next().is(what)) return false;
  take();
  return true;
}

void Tokens::expect(std::string_view what) {
  if (!accept(what)) refuse("expected '" + std::string(what) + "' before '" + std::string(next().text.substr(0, 60)) + "'");
}

std::string_view Tokens::word() {
  if (next().form != Token::kWord) refuse("expected a name before '" + std::string(next().text.substr(0, 60)) + "'");
  return take().text;
}

int64_t Tokens::integer() {
  const bool negative = accept("-");
  uint64_t value;
  if (next().form != Token::kNumber || !parse_integer(next().text, value))
    refuse("expected an integer before '" + std::string(next().text.substr(0, 60)) + "'");
  take();
  return static_cast<int64_t>(negative ? -value : value);
}

void Tokens::skip_line() {
  const unsigned line = next().line;
  while (next().form != Token::kEnd && next().line == line) take();
}

void Tokens::skip_to(std::string_view what) {
  while (!next().is(what)) {
    if (next().form == Token::kEnd) refuse("expected '" + std::string(what) + "'");
    take();
  }
  take();
}

void Tokens::refuse(const std::string& why) const { throw Refused(line(), why); }

bool parse_integer(std::string_view text, uint64_t& value) {
  if (!text.empty() && text.back() == 'U') text.remove_suffix(1);
  int base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) base = 16, text.remove_prefix(2);
  else if (text.size() > 2 && text[0] == '0' && (text[1] == 'b' || text[1] == 'B')) base = 2, text.remove_prefix(2);
  else if (text.size() > 1 && text[0] == '0') base = 8;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace emu::ptx
