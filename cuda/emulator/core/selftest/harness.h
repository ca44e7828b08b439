// SPDX-License-Identifier: Apache-2.0
// A few lines of test framework, and the device seen from the host: modules, buffers, launches.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../core.h"

namespace selftest {

using Body = void (*)();
void add_test(const char* name, Body body);
void fail(const char* file, int line, const std::string& what);

struct Registration {
  Registration(const char* name, Body body) { add_test(name, body); }
};

#define TEST(name)                                                        \
  static void name();                                                     \
  static const ::selftest::Registration name##_registration(#name, name); \
  static void name()

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) ::selftest::fail(__FILE__, __LINE__, #condition);     \
  } while (0)

#define CHECK_EQUAL(actual, expected)                                                                          \
  do {                                                                                                         \
    const auto actual_value = (actual);                                                                        \
    const auto expected_value = (expected);                                                                    \
    if (!(actual_value == expected_value))                                                                     \
      ::selftest::fail(__FILE__, __LINE__,                                                                     \
                       std::string(#actual) + " is " + std::to_string(actual_value) + ", expected " +          \
                           std::to_string(expected_value));                                                    \
  } while (0)

#define CHECK_CONTAINS(text, part)                                                                        \
  do {                                                                                                    \
    const std::string text_value = (text);                                                                \
    if (text_value.find(part) == std::string::npos)                                                       \
      ::selftest::fail(__FILE__, __LINE__, "'" + text_value.substr(0, 600) + "' lacks '" + std::string(part) + "'");     \
  } while (0)

// The kernels built from selftest/<name>.cu, loaded once.
const emu::Kernel& kernel(const char* module, const char* name);
std::vector<char> module_image(const char* module);

// Options for the length of a test; then the defaults again.
class Options {
 public:
  explicit Options(const char* text) { emu::set_options(text); }
  ~Options();
};

template <class T>
class Buffer {
 public:
  explicit Buffer(size_t count) : count_(count), data_(static_cast<T*>(emu::device_alloc(count * sizeof(T)))) {
    if (!data_) fail(__FILE__, __LINE__, "device_alloc");
  }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) { put(values); }
  ~Buffer() { emu::device_free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() { return data_; }
  T& operator[](size_t i) { return data_[i]; }  // device memory is host memory here
  size_t size() const { return count_; }
  void put(const std::vector<T>& values) {
    std::memcpy(data_, values.data(), values.size() * sizeof(T));
    emu::device_written(data_, values.size() * sizeof(T));
  }
  void fill(T value) { put(std::vector<T>(count_, value)); }

 private:
  size_t count_;
  T* data_;
};

struct Shape {
  unsigned grid = 1, block = 32;
  size_t smem = 0;
};

// Launches with the arguments as they are: their types must be the kernel's.
template <class... A>
int launch(const emu::Kernel& kernel, Shape shape, A... args) {
  void* pointers[] = {static_cast<void*>(&args)..., nullptr};
  emu::LaunchConfig config;
  config.grid[0] = shape.grid;
  config.block[0] = shape.block;
  config.dynamic_smem = shape.smem;
  if (shape.smem > config.max_dynamic_smem) config.max_dynamic_smem = shape.smem;
  return emu::launch(kernel, pointers, config);
}

// "bugs.cu:12": the first line with the word BUG at or after the head of the kernel.
std::string bug_line(const char* module, const char* name);

// The launch must fail with this result and a report that contains each of the texts.
void expect_report(int result, int expected, std::initializer_list<std::string> texts);
// The launch must succeed without any report.
void expect_clean(int result);

}  // namespace selftest
