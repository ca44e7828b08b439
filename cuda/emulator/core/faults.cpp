// SPDX-License-Identifier: Apache-2.0
#include "faults.h"

#include <ucontext.h>

#include <csignal>
#include <cstdio>

#include "report.h"
#include "worker.h"

namespace emu {
namespace {

struct sigaction previous[65];

// Runs in place of the rest of the faulting thread, on a stack of its own: that thread's may have overflowed. It does not
// return, which the address sanitizer would take for the end of the worker's own stack.
__attribute__((no_sanitize("address"))) void landing() {
  Worker& w = *worker;
  const void* pc = w.fault_pc;
  // Inside the device's own code the thread's last call says more than the address of that code.
  const Fiber& f = *running();
  const char* start = w.stacks + f.stack * (kStackBytes + kStackGuard);
  const char* at = static_cast<const char*>(w.fault_address);
  char near[120], call[60] = "";
  switch (w.fault_signal) {
    case SIGILL:
      finding_at(pc, "undefined behaviour: misaligned pointer, array bound, signed overflow, shift or null pointer");
      break;
    case SIGFPE: finding_at(pc, "integer division by zero"); break;
    default:
      if (at >= start && at < start + kStackGuard) {
        finding_at(pc, "stack overflow: a thread's frames need more than %zu bytes", kStackBytes);
        break;
      }
      w.job->illegal = true;
      describe_address(at, near, sizeof near);
      if (line_of(f.site)) std::snprintf(call, sizeof call, " (its last device call: line %u)", line_of(f.site));
      finding_at(pc, "illegal address %p%s%s", w.fault_address, near, call);
  }
  abandon_block(w);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  if (worker && self) {
    greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    worker->fault_address = info->si_addr;
    worker->fault_signal = signal;
    worker->fault_pc = reinterpret_cast<void*>(registers[REG_RIP] + 1);  // "just behind" for addr2line
    registers[REG_RSP] = reinterpret_cast<greg_t>(worker->landing_stack) - 8;  // aligned as after a call
    registers[REG_RIP] = reinterpret_cast<greg_t>(landing);
    return;
  }
  const struct sigaction& old = previous[signal];
  if (old.sa_flags & SA_SIGINFO) {
    old.sa_sigaction(signal, info, context);
  } else if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
    old.sa_handler(signal);
  } else {
    sigaction(signal, &old, nullptr);  // returning repeats the fault, now with the default action
  }
}

}  // namespace

void install_fault_handlers() {
  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(signal, &action, &previous[signal]);
}

}  // namespace emu
