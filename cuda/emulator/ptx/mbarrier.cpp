// SPDX-License-Identifier: Apache-2.0
// mbarrier and cp.async.bulk: PTX ISA, "Parallel Synchronization and Communication Instructions" and "Asynchronous copy". The core counts
// and copies.
#include "memory.h"
#include "operations.h"

namespace emu::ptx {
namespace {

constexpr size_t kBarrierBytes = 8;
constexpr uint64_t kMaxTests = 20'000'000;

// For each lane, which speaks: f(lane, the mbarrier of the operand o and its distance)
template <class F>
void each_barrier(Context& c, const Ins& i, const Operand* o, uint32_t lanes, F f) {
  each_lane(lanes, [&](unsigned l) {
    Space space = Space::kShared;
    char* barrier = locate(c, i, l, space, address_of(c, o, l), kBarrierBytes, Access::kAtomic);
    c.machine->speak_for(*c.warp, l);
    f(l, barrier);
  });
}

void init(Context& c, const Ins& i, uint32_t lanes) {
  const uint32_t* arrivals = values<uint32_t>(c, i.o[2]);
  each_barrier(c, i, i.o, lanes, [&](unsigned l, char* barrier) { mbarrier_init(barrier, arrivals[l], site_of(c, i)); });
}

// detail: [0] the operand counts bytes, not arrivals; [1] it does not arrive
void arrive(Context& c, const Ins& i, uint32_t lanes) {
  const Operand* o = i.o + i.results;
  const uint32_t* count = i.operands > i.results + 2 ? values<uint32_t>(c, o[2]) : nullptr;
  each_barrier(c, i, o, lanes, [&](unsigned l, char* barrier) {
    const Site site = site_of(c, i);
    // The state is the parity of the phase; that is all that waits look at.
    if (i.results) values<uint64_t>(c, i.o[0])[l] = mbarrier_at(c.machine->worker, barrier, "arrive", site).phases & 1;
    if (i.detail[0]) mbarrier_expect(barrier, count[l], site);
    if (!i.detail[1]) mbarrier_arrive(barrier, count && !i.detail[0] ? count[l] : 1, site);
  });
}

void take_scope(Decoder& d) {
  d.take_one({"release", "acquire", "relaxed"});
  d.take_one({"cta", "cluster"});
  d.take_one({"shared", "shared::cta"});
  if (!d.take("b64")) d.unknown();
}

void make_arrive(Decoder& d, bool arrives) {
  const bool expects = !arrives || d.take("expect_tx");
  if (arrives && !expects) d.take("noComplete");  // the program promises that others are still to come
  take_scope(d);
  size_t at = 0;
  d.out.detail[0] = expects;
  d.out.detail[1] = !arrives;
  d.out.run = &arrive;
  if (arrives && d.arg(at++).form != Arg::kNothing) d.result(d.arg(0), 64);
  d.done(expects || d.args() > at + 1 ? at + 2 : at + 1);
  take_address(d, d.arg(at++));
  if (at < d.args()) d.source(d.arg(at), kU32);
}

void make_mbarrier(Decoder& d) {
  if (d.take("init")) {
    d.take_one({"shared", "shared::cta"});
    if (!d.take("b64")) d.unknown();
    d.out.run = &init;
    d.done(2);
    take_address(d, d.arg(0));
    return d.source(d.arg(1), kU32);
  }
  if (d.take("arrive")) return make_arrive(d, true);
  if (d.take("expect_tx")) return make_arrive(d, false);
  const int what = d.take_one({"try_wait", "test_wait"});
  if (what < 0) d.unknown();
  const bool parity = d.take("parity");
  take_scope(d);
  d.out.flow = Flow::kMbarrier;
  d.out.detail[0] = what == 0;
  d.done(what == 0 && d.args() == 4 ? 4 : 3);  // with a time limit, or without
  d.predicate_result(d.arg(0));
  take_address(d, d.arg(1));
  d.source(d.arg(2), parity ? kU32 : kU64);
  d.out.detail[1] = parity;
}

// ---- cp.async.bulk
// Operands: where to, where from, the mbarrier, each with a distance; then bytes, or the coordinates. detail: [0] dimensions of the tensor
void copy(Context& c, const Ins& i, uint32_t lanes) {
  const Operand* o = i.o;
  const int rank = i.detail[0];
  each_barrier(c, i, o + 4, lanes, [&](unsigned l, char* barrier) {
    const Site site = site_of(c, i);
    Space space = Space::kShared;
    char* to = locate(c, i, l, space, address_of(c, o, l), 16, Access::kWrite);
    const uint64_t from = address_of(c, o + 2, l);
    if (!rank) return bulk_copy(to, reinterpret_cast<const void*>(from), values<uint32_t>(c, o[6])[l], barrier, site);
    Space generic = Space::kGeneric;
    const char* map = locate(c, i, l, generic, from, 64, Access::kRead);
    locate(c, i, l, generic, from + 64, 64, Access::kRead);
    int32_t at[kMaxTensorRank];
    for (int k = 0; k < rank; k++) at[k] = values<int32_t>(c, o[6 + k])[l];
    tensor_copy(to, map, rank, at, barrier, site);
  });
}

void nothing(Context&, const Ins&, uint32_t) {}

// The mbarrier shall wait for the cp.async of the lane so far. They are done at once; what is left is the arrival of .noinc, which the
// mbarrier's count has foreseen.
void copies_arrive(Context& c, const Ins& i, uint32_t lanes) {
  each_barrier(c, i, i.o, lanes, [&](unsigned, char* barrier) {
    cp_async_commit();
    cp_async_wait(0);
    if (i.detail[0]) mbarrier_arrive(barrier, 1, site_of(c, i));
  });
}

}  // namespace

void make_copies_arrive(Decoder& d) {
  if (!d.take("arrive")) d.unknown();
  d.out.detail[0] = d.take("noinc");
  d.take_one({"shared", "shared::cta"});
  if (!d.take("b64")) d.unknown();
  d.out.run = &copies_arrive;
  d.done(1);
  take_address(d, d.arg(0));
}

void make_bulk_copy(Decoder& d) {
  const bool policy = d.take("L2::cache_hint");
  const bool tensor = d.take("tensor");
  const int rank = tensor ? d.take_one({"1d", "2d", "3d", "4d", "5d"}) + 1 : 0;
  if (tensor && rank == 0) d.unknown();
  d.take("tile");
  if (d.take("prefetch")) {  // into the L2 cache: no effect here
    if (!d.take("L2") || !d.take("global")) d.unknown();
    d.out.run = &nothing;
    return d.done(d.args());
  }
  if (d.take_one({"shared::cluster", "shared::cta"}) < 0 || !d.take("global") || !d.take("mbarrier::complete_tx::bytes")) d.unknown();
  d.done((tensor ? 3 : 4) + policy);
  d.out.detail[0] = static_cast<uint8_t>(rank);
  d.out.run = &copy;
  take_address(d, d.arg(0));
  take_address(d, d.arg(1));
  take_address(d, d.arg(tensor ? 2 : 3));
  if (!tensor) return d.source(d.arg(2), kU32);
  const Arg& map = d.arg(1);
  if (map.parts.size() != 2 || map.parts[1].form != Arg::kVector || map.parts[1].parts.size() != static_cast<size_t>(rank))
    d.refuse("a box of " + std::to_string(rank) + " dimensions without as many coordinates");
  for (const Arg& x : map.parts[1].parts) d.source(x, Type{Kind::kSigned, 32, 1});
}

// try_wait waits until the phase is complete, as it may; test_wait only asks. True: in vain, others come first.
bool Machine::wait_mbarrier(Warp& w, Strand& s, const Ins& i, uint32_t lanes) {
  Context c = context(w, s.frame);
  const Operand* o = i.o + i.results;
  uint32_t passed = 0;
  const void* first = nullptr;
  uint32_t parity = 0;
  each_barrier(c, i, o, lanes, [&](unsigned l, char* barrier) {
    const uint32_t p = i.detail[1] ? values<uint32_t>(c, o[2])[l] : static_cast<uint32_t>(values<uint64_t>(c, o[2])[l]);
    if (mbarrier_test(barrier, p, site_of(c, i))) passed |= 1u << l;
    else if (!first) first = barrier, parity = p;
  });
  if (!passed && i.detail[0]) {
    s.wait = Wait::kMbarrier;
    s.mbarrier = first;
    s.parity = parity;
    return false;
  }
  if (!passed && !do_bulk_copy(worker) && ++tests_ > kMaxTests)
    give_up_at(c, i, static_cast<unsigned>(__builtin_ctz(lanes)), "a thread spins for something that never comes");
  set_predicate(c, i.o[0], lanes, passed);
  s.pc++;
  return passed == 0;
}

bool Machine::still_waits(Strand& s) {
  if (s.wait == Wait::kMbarrier)
    for (const Mbarrier& m : worker.mbarriers)
      if (m.at == s.mbarrier && mbarrier_passed(m, s.parity)) s.wait = Wait::kNothing;
  return s.wait != Wait::kNothing;
}

const Table& mbarrier_operations() {
  static const Table table = {{"mbarrier", make_mbarrier}};
  return table;
}

}  // namespace emu::ptx
