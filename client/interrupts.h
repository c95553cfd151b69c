#pragma once

#include <atomic>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "client/api.h"

namespace hutch::client {

/// Milliseconds for a command whose terminal, or whose reader, is gone: nobody will ask a second time.
constexpr int kPatienceMs = 10'000;

/// While this lives, who interrupts hutch means the command it runs: SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on
/// to it, the second kills it with all that it started, and the third, or one of which the daemon cannot be told, ends
/// hutch alone. What was ignored from the start (nohup(1)) stays so. A thread of its own waits for them, so that no
/// call of this one is ever interrupted.
class Interrupts {
  public:
    static Result<std::unique_ptr<Interrupts>> begin(const Api& api, std::string box);
    ~Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;

    /// The command is this run. Before that, a signal ends hutch as ever.
    void mean(const std::string& run);
    /// Nobody reads any more what it says, so it is to end as a local one would.
    void close_pipe();
    /// Whether it was told to end by us: how it then ended is no news.
    [[nodiscard]] bool sent() const { return sent_; }

  private:
    Interrupts(const Api& api, std::string box) : api_(api), box_(std::move(box)) {}
    void wait();
    void pass_on(int signal);
    /// `alone`: nobody is there to ask a second time.
    bool tell(const char* signal, bool alone) const;
    bool ask(const char* call, const Json& body) const;

    const Api& api_;
    const std::string box_;
    sigset_t before_{};
    UniqueFd arrived_;  ///< a signalfd
    UniqueFd over_;     ///< an eventfd
    std::mutex mutex_;
    std::string run_;
    int count_ = 0;
    std::atomic<bool> sent_ = false;
    std::thread thread_;
};

}  // namespace hutch::client
