// SPDX-License-Identifier: Apache-2.0
// PTX text as words, numbers and punctuation.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "program.h"

namespace emu::ptx {

struct Token {
  enum Form : uint8_t { kWord, kNumber, kString, kPunctuation, kEnd };
  Form form;
  std::string_view text;  // of a string: without its quotes
  unsigned line;

  bool is(std::string_view what) const { return form != kString && text == what; }
};

// Ends with a token of form kEnd. The text must outlive the tokens.
std::vector<Token> tokens_of(std::string_view text);

// A stream of tokens with one point of reading.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : tokens_(tokens_of(text)) {}

  const Token& next() const { return tokens_[at_]; }
  const Token& ahead(size_t n) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)]; }
  unsigned line() const { return next().line; }
  Token take();
  bool accept(std::string_view what);     // takes it if it is next
  void expect(std::string_view what);     // takes it or refuses the module
  std::string_view word();                // takes a word or refuses
  int64_t integer();                      // takes an integer with its sign, or refuses
  void skip_line();                       // what is left of the line that the next token is on
  void skip_to(std::string_view what);    // and it
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

// An integer literal of PTX (decimal, 0x, 0b, octal; U suffix); false if the text is none.
bool parse_integer(std::string_view text, uint64_t& value);

}  // namespace emu::ptx
