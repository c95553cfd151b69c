#include "daemon/fd_thread.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <system_error>

#include "daemon/log.h"

namespace hutch::daemon {

Result<std::unique_ptr<FdThread>> FdThread::start(const std::string& name, int fd, Work work) {
    UniqueFd stop(eventfd(0, EFD_CLOEXEC));
    if (!stop) return errno_error("making an eventfd");
    std::unique_ptr<FdThread> made(new FdThread(std::move(stop)));
    try {
        made->thread_ = std::thread([raw = made.get(), name, fd, work = std::move(work)] { raw->run(name, fd, work); });
    } catch (const std::system_error& failure) {
        return errno_error("starting the thread of " + name, failure.code().value());
    }
    return made;
}

FdThread::~FdThread() {
    if (!thread_.joinable()) return;
    eventfd_write(stop_.get(), 1);
    thread_.join();
}

void FdThread::run(const std::string& name, int fd, const Work& work) const {
    int again_ms = -1;
    for (;;) {
        pollfd entries[] = {{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        if (poll(entries, 2, again_ms) < 0) continue;  // EINTR
        if (entries[1].revents != 0) return;
        try {
            again_ms = work();
        } catch (const std::exception& failure) {
            log_error("{}: {}", name, failure.what());
            again_ms = -1;
        }
    }
}

}  // namespace hutch::daemon
