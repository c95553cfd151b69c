#include "client/interrupts.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "client/http.h"

namespace hutch::client {
namespace {

void end_by(int signal) {
    (void)std::signal(signal, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signal);
    (void)pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    (void)raise(signal);
}

}  // namespace

Result<std::unique_ptr<Interrupts>> Interrupts::begin(const Api& api, std::string box) {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
        struct sigaction current {};
        if (sigaction(signal, nullptr, &current) == 0 && current.sa_handler != SIG_IGN) sigaddset(&signals, signal);
    }
    std::unique_ptr<Interrupts> interrupts(new Interrupts(api, std::move(box)));
    interrupts->arrived_ = UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
    interrupts->over_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
    if (!interrupts->arrived_ || !interrupts->over_) return errno_error("waiting for signals");
    (void)pthread_sigmask(SIG_BLOCK, &signals, &interrupts->before_);
    (void)std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is found by the write
    interrupts->thread_ = std::thread(&Interrupts::wait, interrupts.get());
    return interrupts;
}

Interrupts::~Interrupts() {
    if (!thread_.joinable()) return;
    constexpr uint64_t kOne = 1;
    [[maybe_unused]] const ssize_t n = ::write(over_.get(), &kOne, sizeof(kOne));
    thread_.join();
    (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void Interrupts::mean(const std::string& run) {
    const std::lock_guard lock(mutex_);
    run_ = run;
}

void Interrupts::close_pipe() {
    const std::lock_guard lock(mutex_);
    if (run_.empty() || sent_.exchange(true)) return;
    (void)tell("PIPE", true);
}

void Interrupts::wait() {
    for (;;) {
        pollfd events[] = {{arrived_.get(), POLLIN, 0}, {over_.get(), POLLIN, 0}};
        if (poll(events, 2, -1) < 0) continue;
        if (events[1].revents != 0) return;
        signalfd_siginfo info{};
        if (::read(arrived_.get(), &info, sizeof(info)) == sizeof(info)) pass_on(static_cast<int>(info.ssi_signo));
    }
}

void Interrupts::pass_on(int signal) {
    const std::lock_guard lock(mutex_);
    if (run_.empty() || ++count_ > 2) return end_by(signal);
    sent_ = true;
    const bool reached = count_ == 1 ? tell(sigabbrev_np(signal), signal == SIGHUP) : ask("/cancel", Json::object());
    if (!reached) end_by(signal);
}

bool Interrupts::tell(const char* signal, bool alone) const {
    Json body = {{"signal", signal}};
    if (alone) body["cancel_after"] = kPatienceMs;
    return ask("/signal", body);
}

/// Whether the daemon has answered: that the run has ended meanwhile is an answer too.
bool Interrupts::ask(const char* call, const Json& body) const {
    return send(api_.endpoint(), {.method = "POST",
                                  .target = box_target(box_, "/runs/" + percent_encode(run_) + call),
                                  .content_type = "application/json",
                                  .body = body.dump()})
        .ok();
}

}  // namespace hutch::client
