#pragma once

// A program that runs inside a box and tries things: `probe NAME [ARGUMENT]...` makes one attempt and prints the name
// of the errno it was answered with, or "done"; facts about the process are printed as they are. The test outside
// judges. Static and without libraries, so that a box needs nothing else.

#include <span>

namespace hutch::probe {

/// One thing to try. `act` returns -1 and sets errno when refused.
struct Attempt {
    const char* name;
    long (*act)(char** arguments);
};

std::span<const Attempt> kernel_attempts();   ///< system calls a box must not have
std::span<const Attempt> foreign_attempts();  ///< sockets, and the same by the doors of other ABIs
std::span<const Attempt> process_attempts();  ///< files, devices, other processes
std::span<const Attempt> facts();             ///< what the process finds itself to be
std::span<const Attempt> takers();            ///< who takes all that there is of something
std::span<const Attempt> nesting_attempts();  ///< what root of a namespace of one's own making may try
std::span<const Attempt> nests();             ///< who makes such a namespace, and an attempt in it

/// A child that has made a namespace of a kind, such as CLONE_NEWNET, in a user namespace of its own, as that user; its
/// pid. It holds them until this process ends.
long hold_namespace(long user, unsigned long flag);

}  // namespace hutch::probe
