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

  // One step further in; the module is refused where it would need too much of the stack.
  class Deeper {
   public:
    explicit Deeper(Reader& r);
    ~Deeper() { r_.depth_--; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Reader& r_;
  };

  void body();
  void keep_inside(size_t first);
  void registers();
  void label(const std::string& written);
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
  std::vector<std::map<std::string, std::string>> labels_;           // the same, of a body: labels as written, and their own names
  size_t inner_labels_ = 0;
  int depth_ = 0;                                                    // of parts inside parts
};

// Of ".global"; kGeneric if there is none of that name.
Space space_of(std::string_view name);

}  // namespace emu::ptx
