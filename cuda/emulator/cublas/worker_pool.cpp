// SPDX-License-Identifier: Apache-2.0
#include "worker_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace emu::blas {
namespace {

class Pool {
public:
  Pool() {
    int threads = std::clamp(int(std::thread::hardware_concurrency()), 1, 16);
    for (int i = 1; i < threads; i++) std::thread([this] { serve(); }).detach();
    helpers_ = threads - 1;
  }

  void run(int count, const std::function<void(int)>& body) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      body_ = &body;
      count_ = count;
      next_ = 0;
      failure_ = nullptr;
      busy_ = helpers_;
      round_++;
    }
    wake_.notify_all();
    work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    if (failure_) std::rethrow_exception(failure_);
  }

private:
  void serve() {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      lock.unlock();
      work();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  void work() {
    for (int i; (i = next_++) < count_;) {
      try {
        (*body_)(i);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex_);
        failure_ = std::current_exception();
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* body_ = nullptr;
  std::exception_ptr failure_;
  std::atomic<int> next_{0};
  int count_ = 0, helpers_ = 0, busy_ = 0;
  uint64_t round_ = 0;
};

} // namespace

void parallel_for(int count, const std::function<void(int)>& body) {
  static Pool* pool = new Pool; // never destroyed: its threads wait in it until the process ends
  pool->run(count, body);
}

} // namespace emu::blas
