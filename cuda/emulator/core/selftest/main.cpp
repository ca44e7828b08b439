// SPDX-License-Identifier: Apache-2.0
// Tests of the emulated device itself. Arguments: parts of the names of the tests to run (default: all).
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>

#include "harness.h"

namespace selftest {
namespace {

struct Test {
  const char* name;
  Body body;
};
std::vector<Test>& tests() {
  static std::vector<Test> list;
  return list;
}
int failures_in_test = 0;

std::string folder() {
  char path[4096];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  const std::string text(path, n > 0 ? static_cast<size_t>(n) : 0);
  return text.substr(0, text.rfind('/'));
}

bool selected(const Test& test, int count, char** parts) {
  if (count == 0) return true;
  for (int i = 0; i < count; i++)
    if (std::string(test.name).find(parts[i]) != std::string::npos) return true;
  return false;
}

}  // namespace

void add_test(const char* name, Body body) { tests().push_back({name, body}); }

void fail(const char* file, int line, const std::string& what) {
  failures_in_test++;
  std::printf("  %s:%d: %s\n", file, line, what.c_str());
}

std::vector<char> module_image(const char* module) {
  std::ifstream in(folder() + "/" + module + ".so", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const emu::Kernel& kernel(const char* module, const char* name) {
  static std::map<std::string, emu::Module*> loaded;
  emu::Module*& m = loaded[module];
  std::string error;
  if (!m) m = emu::module_load(module_image(module).data(), 0, error);
  const emu::Kernel* k = m ? emu::module_find(m, name) : nullptr;
  if (!k) {
    std::printf("no kernel %s in module %s: %s\n", name, module, error.c_str());
    std::exit(2);
  }
  return *k;
}

Options::~Options() { emu::set_options("sched=fwd,cp=defer,seed=1,workers=2,strict=1,preempt=0,gridrace=1,reports=64,gpu=9.0"); }

std::string bug_line(const char* module, const char* name) {
  std::ifstream in(std::string(SELFTEST_SOURCES) + "/" + module + ".cu");
  const std::string head = std::string("void ") + name + "(";
  bool inside = false;
  std::string text;
  for (int line = 1; std::getline(in, text); line++) {
    inside |= text.find(head) != std::string::npos;
    if (inside && text.find("BUG") != std::string::npos) return std::string(module) + ".cu:" + std::to_string(line) + ":";
  }
  std::printf("no BUG in kernel %s of %s\n", name, module);
  std::exit(2);
}

void expect_report(int result, int expected, std::initializer_list<std::string> texts) {
  CHECK_EQUAL(result, expected);
  const std::string reports = emu::take_reports();
  for (const std::string& text : texts) CHECK_CONTAINS(reports, text);
}

void expect_clean(int result) {
  CHECK_EQUAL(result, 0);
  const std::string reports = emu::take_reports();
  if (!reports.empty()) fail(__FILE__, __LINE__, "unexpected report: " + reports.substr(0, 600));
}

int run(int count, char** parts) {
  emu::set_options("workers=2,stderr=0");
  int passed = 0, failed = 0;
  for (const Test& test : tests()) {
    if (!selected(test, count, parts)) continue;
    failures_in_test = 0;
    const size_t before = emu::device_used();
    test.body();
    if (emu::device_used() != before) fail(__FILE__, __LINE__, "device memory is left");
    emu::take_reports();
    if (failures_in_test) std::printf("FAILED %s\n", test.name);
    (failures_in_test ? failed : passed)++;
  }
  std::printf("%s build: %d passed, %d failed\n", emu::is_check_build() ? "check" : "fast", passed, failed);
  return failed ? 1 : 0;
}

}  // namespace selftest

int main(int argc, char** argv) { return selftest::run(argc - 1, argv + 1); }
