// SPDX-License-Identifier: Apache-2.0
// Branches, calls, ends, barriers: PTX ISA, "Control Flow Instructions" and "Parallel Synchronization and Communication Instructions".
#include "function_decoder.h"
#include "operations.h"

namespace emu::ptx {

void warp_barrier_meeting(Meeting& m);  // warp.cpp

namespace {

const std::string& label_of(Decoder& d, size_t n) {
  if (d.arg(n).form != Arg::kName) d.refuse("a branch to no label");
  return d.arg(n).name;
}

void make_bra(Decoder& d) {
  d.take("uni");
  d.done(1);
  d.out.flow = Flow::kBranch;
  d.out.target = d.f.label(label_of(d, 0), d.line());
}

void make_brx(Decoder& d) {
  if (!d.take("idx")) d.unknown();
  d.take("uni");
  d.done(2);
  d.out.flow = Flow::kTable;
  d.source(d.arg(0), kU32);
  d.out.target = d.f.table(label_of(d, 1), d.line());
}

std::vector<Slot> slots(Decoder& d, const Arg& group) {
  std::vector<Slot> s;
  for (const Arg& a : group.parts) {
    if (a.form != Arg::kLocal) d.refuse("a call with something that is no variable in .param space");
    s.push_back(d.f.slot_of_local(a.index, d.line()));
  }
  return s;
}

// call (results), function, (parameters), prototype; without the groups that are empty
void make_call(Decoder& d) {
  d.take("uni");
  d.done(d.args());
  size_t n = 0;
  Call call;
  if (d.arg(0).form == Arg::kGroup) call.results = slots(d, d.arg(n++));
  const Arg& callee = d.arg(n++);
  if (n < d.args() && d.arg(n).form == Arg::kGroup) call.parameters = slots(d, d.arg(n++));
  d.out.flow = Flow::kCall;
  if (callee.form == Arg::kRegister) {
    d.source(callee, kU64);
  } else {
    call.callee = d.f.image().function(callee.name);
    if (!call.callee) {
      call.builtin = builtin_function(callee.name);
      if (!call.builtin) d.refuse("function " + callee.name + ", which the module does not define, is not one that this device has");
      d.out.flow = Flow::kNext;  // done in one go
      d.out.run = call.builtin;
    } else if (call.callee->text->entry) {
      d.refuse("a call of the kernel " + callee.name);
    } else if (call.callee->results.size() != call.results.size() || call.callee->parameters.size() != call.parameters.size()) {
      d.refuse("a call of " + callee.name + " with another number of parameters");
    }
  }
  d.out.target = d.f.add_call(std::move(call));
}

void make_ret(Decoder& d) {
  d.take("uni");
  d.done(0);
  d.out.flow = Flow::kReturn;
}
void make_exit(Decoder& d) {
  d.done(0);
  d.out.flow = Flow::kExit;
}

void trap_here(Context& c, const Ins& i, uint32_t lanes) { give_up_at(c, i, static_cast<unsigned>(__builtin_ctz(lanes)), "trap"); }
void make_trap(Decoder& d) {
  d.done(0);
  d.out.run = &trap_here;
}

void nothing(Context&, const Ins&, uint32_t) {}
void make_nothing(Decoder& d) {  // nanosleep, griddepcontrol: the strand just goes on
  d.take_one({"u32", "wait", "launch_dependents"});
  d.done(d.args());
  d.out.run = &nothing;
}

// bar{.cta}.sync a{, b}; bar.arrive a, b; bar.red.op{.pred|.u32} p, a{, b}, q; bar.warp.sync mask; barrier{.cta} likewise
void make_bar(Decoder& d) {
  const bool warp = d.take("warp");
  d.take("cta");
  d.take("aligned");
  const int what = d.take_one({"sync", "arrive", "red"});
  if (what < 0) d.unknown();
  if (warp) {
    d.out.flow = Flow::kMeet;
    d.out.meet = &warp_barrier_meeting;
    d.done(1);
    d.source(d.arg(0), kU32);
    d.out.results = 0;
    d.source(d.arg(0), kU32);  // the number of the mask's operand must not be 0
    d.out.mask = 1;
    return;
  }
  d.out.flow = Flow::kBarrier;
  size_t at = 0, args = d.args();
  if (what == 2) {
    const int op = d.take_one({"and", "or", "popc"});
    if (op < 0 || !d.take(op == 2 ? "u32" : "pred")) d.unknown();
    d.out.detail[0] = static_cast<uint8_t>(op + 1);
    if (op == 2) d.result(d.arg(at++), 32);
    else d.predicate_result(d.arg(at++));
    args--;
  }
  d.out.detail[1] = what == 1;
  const bool counted = args - at == 2;
  d.out.detail[2] = counted;
  if (args - at != 1 && !counted) d.done(at + 2);
  d.done(d.args());
  d.source(d.arg(at++), kU32);
  if (counted) d.source(d.arg(at++), kU32);
  if (what == 2) d.predicate_source(d.arg(at));
}

}  // namespace

const Table& control_operations() {
  static const Table table = {
      {"bra", make_bra},   {"brx", make_brx},   {"call", make_call},         {"ret", make_ret},
      {"exit", make_exit}, {"trap", make_trap}, {"brkpt", make_trap},        {"bar", make_bar},
      {"barrier", make_bar}, {"nanosleep", make_nothing}, {"pmevent", make_nothing}, {"griddepcontrol", make_nothing},
  };
  return table;
}

}  // namespace emu::ptx
