// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tokens.h"

namespace emu::ptx {

// Reads a module once; its parts are in reader.cpp (the module) and body.cpp (what is inside a function).
class Reader {
 public:
  explicit Reader(std::string_view text) : t_(text) {}
  Program module();

 private:
  // What a name means inside a function
  struct Meaning {
    bool is_register;
    uint32_t index;
  };

  void directive();
  void file();
  Variable variable(Space space, bool external);
  void initial(Variable& v, Type type);
  void parameters(FunctionText& f, size_t& count);
  void function(bool entry);

  void body();
  void registers();
  void label(std::string name);
  void location();
  void statement();
  Arg argument();
  Arg simple();
  Arg number();
  std::vector<Arg> list(std::string_view end);
  Arg named(std::string_view name) const;
  void declare(const std::string& name, Meaning meaning);

  Tokens t_;
  Program program_;
  FunctionText* function_ = nullptr;
  Place place_;
  std::vector<std::map<std::string, Meaning, std::less<>>> scopes_;  // of the braces around
};

// Of ".global"; kGeneric if there is none of that name.
Space space_of(std::string_view name);

}  // namespace emu::ptx
