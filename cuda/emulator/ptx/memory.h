// SPDX-License-Identifier: Apache-2.0
// How lanes get at memory: every access is checked for its bounds and alignment, in the check build also for all that the core checks.
#pragma once
#include "machine.h"

namespace emu::ptx {

// Which memory a generic address is in: kShared, kLocal, or kGlobal for all the rest.
Space space_of_generic(const Context& c, uint64_t address);
bool in_constants(const Context& c, uint64_t address);

// The memory behind an address of n bytes; gives the block up if the lane must not touch it.
char* reach(const Context& c, const Ins& i, unsigned lane, Space space, uint64_t address, size_t n, Access kind);
// The same without telling the check build, for operations of the core that do so themselves.
char* locate(const Context& c, const Ins& i, unsigned lane, Space& space, uint64_t address, size_t n, Access kind);

// For the check build: is it local memory; was it written; it counts as not written; and the report of a register that was not.
bool is_local(const Context& c, Space space, uint64_t address);
bool was_written(const Context& c, const char* local, size_t n);
void forget_written(const Context& c, const char* local, size_t n);
[[noreturn]] void undefined_register(const Context& c, const Ins& i, unsigned lane, uint32_t number);

// The addresses of an operand that Decoder::address() made, with the distance
void addresses_of(const Context& c, const Ins& i, const Operand& o, uint64_t (&address)[kWarpSize]);

// An address, and behind it its distance as a source of its own: for instructions with several
void take_address(class Decoder& d, const struct Arg& a);
// What take_address() took, of a lane; o: the first of the two operands
uint64_t address_of(const Context& c, const Operand* o, unsigned lane);

// Takes the state space off the opcode; kGeneric if it names none.
Space take_space(class Decoder& d);
// Takes what says how a cache or the order of memory is to be used: it changes nothing here.
void take_hints(class Decoder& d);

}  // namespace emu::ptx
