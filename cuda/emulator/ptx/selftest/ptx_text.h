// SPDX-License-Identifier: Apache-2.0
// Small PTX modules for tests.
#pragma once
#include <initializer_list>
#include <memory>

#include "../../core/selftest/harness.h"

namespace selftest {

const std::string kPtxHead = ".version 7.0\n.target sm_80\n.address_size 64\n";

// A module of a text; unloaded at the end.
class PtxModule {
 public:
  explicit PtxModule(const std::string& text) : module_(emu::module_load(text.c_str(), 0, error_, &result_)) {}
  ~PtxModule() { emu::module_unload(module_); }
  PtxModule(const PtxModule&) = delete;
  PtxModule& operator=(const PtxModule&) = delete;

  const emu::Kernel* find(const char* name) const { return module_ ? emu::module_find(module_, name) : nullptr; }
  const emu::Module* get() const { return module_; }
  const std::string& error() const { return error_; }
  int result() const { return result_; }

 private:
  std::string error_;
  emu::Result result_ = emu::kSuccess;
  emu::Module* module_;
};

// A kernel `test(in, out)` in which every thread has its number in %t, the addresses of its 64-bit words of in and out in %in and %out, and
// registers %p0.. %h0.. %r0.. %x0.. %f0.. %d0..; the body starts on line 19.
inline std::string ptx_kernel(const std::string& body, const std::string& before = "") {
  return kPtxHead + before + ".visible .entry test(.param .u64 a, .param .u64 b) {\n"
         "  .reg .pred %p<9>;\n  .reg .b16 %h<9>;\n  .reg .b32 %r<17>;\n  .reg .b64 %x<9>;\n  .reg .f32 %f<17>;\n  .reg .f64 %d<9>;\n"
         "  .reg .b32 %t;\n  .reg .b64 %in, %out, %o;\n"
         "  ld.param.u64 %in, [a];\n  ld.param.u64 %out, [b];\n  mov.u32 %t, %tid.x;\n  mul.wide.u32 %o, %t, 8;\n"
         "  add.u64 %in, %in, %o;\n  add.u64 %out, %out, %o;\n" + body + "\n  ret;\n}\n";
}

// Runs such a kernel with one thread per input; returns what was stored, and the status.
struct PtxRun {
  int result;
  std::vector<uint64_t> out;
};
inline PtxRun run_ptx(const std::string& text, const std::vector<uint64_t>& in, unsigned threads = 0) {
  PtxModule module(text);
  const emu::Kernel* k = module.find("test");
  if (!k) {
    fail(__FILE__, __LINE__, "not loaded: " + module.error());
    return {-1, std::vector<uint64_t>(in.size())};
  }
  if (!threads) threads = static_cast<unsigned>(in.size());
  Buffer<uint64_t> source(in), target(threads);
  target.fill(0);
  void *a = source.data(), *b = target.data();
  void* args[] = {&a, &b};
  emu::LaunchConfig config;
  config.block[0] = threads;
  PtxRun run{emu::launch(*k, args, config), {}};
  for (unsigned i = 0; i < threads; i++) run.out.push_back(target[i]);
  return run;
}

}  // namespace selftest
