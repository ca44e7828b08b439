// SPDX-License-Identifier: Apache-2.0
// Launches: argument checks, the worker threads, and the hand-out of blocks.
#include "launch.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>

#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <set>
#include <string>
#include <thread>

#include "check.h"
#include "faults.h"
#include "worker.h"

namespace emu {
namespace {

Statistics total_statistics{};

std::set<std::string>& launched() {
  static std::set<std::string> names;
  return names;
}

void add(Statistics& to, const Statistics& from) {
  auto* t = reinterpret_cast<uint64_t*>(&to);
  const auto* f = reinterpret_cast<const uint64_t*>(&from);
  for (size_t i = 0; i < sizeof(Statistics) / sizeof(uint64_t); i++) t[i] += f[i];
}

// How long an idle worker, or the caller, looks for news before it sleeps. Kernels of one forward pass follow each other
// within microseconds, and waking a sleeping thread costs more than that. Yielding in between matters where there are fewer
// processors than busy threads: the news may have to come from the thread that we keep from running.
constexpr int kLooks = 30, kPausesPerLook = 10;

template <class Condition>
inline bool spin_until(Condition condition) {
  for (int look = 0; look < kLooks; look++) {
    for (int i = 0; i < kPausesPerLook; i++) {
      if (condition()) return true;
      _mm_pause();
    }
    sched_yield();
  }
  return condition();
}

// Which block comes i-th. Random: steps of a size that has no factor in common with their number.
uint64_t block_at(const Job& job, uint64_t i) {
  if (options().order == Order::kForward) return i;
  if (options().order == Order::kReverse) return job.blocks - 1 - i;
  uint64_t step = (options().seed * 0x9e3779b97f4a7c15ull + job.number) >> 32 | 1;
  while (std::gcd(step, job.blocks) != 1) step += 2;
  return static_cast<uint64_t>((static_cast<unsigned __int128>(i) * (step % job.blocks) + options().seed) % job.blocks);
}

// Native threads that live as long as the process. Kernels never run on a caller's thread: that may be a Java thread,
// whose stack and signals belong to the JVM.
class Pool {
 public:
  // Runs the job; returns when all its blocks are done. Workers that wake too late find nothing left to do.
  void run(Job& job) {
    while (started_ < job.workers) start_worker();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      active_ = 0;
      done_ = false;
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (sleepers_.load() > 0) {
      if (job.workers == 1) wake_.notify_one();
      else wake_.notify_all();
    }
    if (spin_until([this] { return done_.load(std::memory_order_acquire); })) {
      std::lock_guard<std::mutex> lock(mutex_);  // the last worker has let go of it
      return;
    }
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [this] { return done_.load(); });
  }

 private:
  void start_worker() {
    started_++;
    // Signals meant for the process must go to its own threads; faults are always delivered to the thread itself.
    sigset_t all, old;
    sigfillset(&all);
    for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    std::thread([this] { loop(); }).detach();
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }

  void loop() {
    auto* w = new Worker();  // lives as long as the process
    worker = w;
    worker_prepare(*w);
    pthread_setname_np(pthread_self(), "emulated-gpu");
    uint64_t seen = 0;
    for (;;) {
      const auto news = [&] { return generation_.load(std::memory_order_acquire) != seen; };
      const bool quick = spin_until(news);
      std::unique_lock<std::mutex> lock(mutex_);
      if (!quick) {
        sleepers_++;
        wake_.wait(lock, news);
        sleepers_--;
      }
      seen = generation_.load();
      Job* job = job_;
      if (!job || active_ >= job->workers) continue;
      active_++;
      lock.unlock();
      work(*w, *job);
      lock.lock();
      add(total_statistics, w->stats);
      w->stats = Statistics{};
      if (job_) job_ = nullptr;  // no block is left to take
      if (--active_ == 0) {
        done_.store(true, std::memory_order_release);
        finished_.notify_all();
      }
    }
  }

  static void work(Worker& w, Job& job) {
    w.job = &job;
    for (;;) {
      const uint64_t i = job.next_block.fetch_add(1);
      if (i >= job.blocks || job.failed) break;
      run_block(w, block_at(job, i));
    }
    w.job = nullptr;
  }

  std::mutex mutex_;
  std::condition_variable wake_, finished_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> done_{false};
  Job* job_ = nullptr;
  int active_ = 0, started_ = 0;
};

// Never destroyed: its threads run until the process ends.
Pool& pool() {
  static Pool* instance = [] {
    install_fault_handlers();
    return new Pool();
  }();
  return *instance;
}

bool valid(const LaunchConfig& c) {
  for (int i = 0; i < 3; i++)
    if (!c.grid[i] || !c.block[i]) return false;
  if (c.grid[0] > 0x7fffffffu || c.grid[1] > 65535 || c.grid[2] > 65535) return false;
  if (c.block[0] > 1024 || c.block[1] > 1024 || c.block[2] > 64) return false;
  if (uint64_t{c.block[0]} * c.block[1] * c.block[2] > kMaxThreads) return false;
  return c.dynamic_smem <= gpu().max_shared_memory() && c.dynamic_smem <= std::max(kDefaultSharedMemory, c.max_dynamic_smem);
}

bool copy_arguments(Job& job, void** args) {
  const Kernel& k = *job.kernel;
  if (k.parameters > kMaxArguments) return false;
  size_t offset = 0, total = 0;
  for (int i = 0; i < k.parameters; i++) {
    const size_t size = k.parameter_size[i];
    total += size;
    if (!args || !args[i] || total > kMaxArgumentBytes) return false;
    std::memcpy(job.arg_bytes + offset, args[i], size);
    job.args[i] = job.arg_bytes + offset;
    offset = (offset + size + 127) / 128 * 128;
  }
  return true;
}

void note(const Kernel& kernel, const LaunchConfig& c) {
  char line[256];
  std::snprintf(line, sizeof line, "%s grid %u %u %u block %u %u %u shared %zu", kernel.name, c.grid[0], c.grid[1], c.grid[2],
                c.block[0], c.block[1], c.block[2], c.dynamic_smem);
  add_to_journal(line);
}

// A grid this small is done before a second worker would be awake.
constexpr uint64_t kThreadsWorthSharing = 512;

int workers_for(const Job& job) {
  if (is_check_build()) return 1;  // its shadow memory is not locked
  if (job.blocks * job.threads <= kThreadsWorthSharing) return 1;
  return static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(options().workers), job.blocks));
}

}  // namespace

Job& current_job() {
  static Job job;
  return job;
}

std::mutex& launch_mutex() {
  static std::mutex mutex;
  return mutex;
}

int launch(const Kernel& kernel, void** args, const LaunchConfig& config) {
  if (!valid(config)) return kInvalidValue;
  if (kernel.max_threads && config.block[0] * config.block[1] * config.block[2] > kernel.max_threads) return kInvalidValue;
  std::lock_guard<std::mutex> lock(launch_mutex());
  Job& job = current_job();
  job.kernel = &kernel;
  job.config = config;
  if (!copy_arguments(job, args)) return kInvalidValue;
  job.number++;
  job.blocks = uint64_t{config.grid[0]} * config.grid[1] * config.grid[2];
  job.threads = config.block[0] * config.block[1] * config.block[2];
  job.next_block = 0;
  job.failed = job.illegal = false;
  job.findings = 0;
  job.workers = workers_for(job);
  total_statistics.launches++;
  launched().insert(std::string(kernel.file) + " " + kernel.name);
  if (journal_kept()) note(kernel, config);
  check::launch_start();
  pool().run(job);
  if (job.illegal) return kIllegalAddress;
  return job.failed || job.findings ? kLaunchFailed : kSuccess;
}

std::string take_launched() {
  std::lock_guard<std::mutex> lock(launch_mutex());
  std::string text;
  for (const std::string& name : launched()) text += name + "\n";
  launched().clear();
  return text;
}

Statistics statistics(bool reset) {
  std::lock_guard<std::mutex> lock(launch_mutex());
  const Statistics now = total_statistics;
  if (reset) total_statistics = Statistics{};
  return now;
}

bool is_check_build() {
#ifdef EMU_CHECK
  return true;
#else
  return false;
#endif
}

}  // namespace emu
