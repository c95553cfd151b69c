#pragma once

// For children that share our memory until they exec or end.

#include <signal.h>

/// Of functions that run in such a child: their frames lie where ours will, and what they note there for a sanitizer
/// would be found by us.
#define HUTCH_CHILD_CODE __attribute__((noinline, no_sanitize("address", "undefined", "thread")))

namespace hutch::runtime {

/// While it lives, the calling thread takes no signals: no handler of ours may run in such a child.
class BlockedSignals {
  public:
    BlockedSignals() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;

  private:
    sigset_t before_{};
};

}  // namespace hutch::runtime
