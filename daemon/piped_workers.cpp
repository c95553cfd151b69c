#include "daemon/piped_workers.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/undo.h"
#include "daemon/fd_watch.h"
#include "daemon/spawn.h"

namespace hutch::daemon {

// What the two sides share. The reading side may outlive the other.
struct PipedWorkers::Job {
    explicit Job(const asio::any_io_executor& executor) : ended(executor) {}
    UniqueFd in, out;  ///< the ends of a pipe
    std::string customer;
    Work work;
    std::optional<Result<void>> result;
    Event ended;
};

namespace {

// Moves the upload into the pipe. Work that gave up has closed its end.
Task<Result<void>> feed(const asio::any_io_executor& executor, int pipe, const Source& source) {
    FdWatch watch(executor, pipe);
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await source());
        if (piece.empty()) co_return Result<void>();
        for (size_t done = 0; done < piece.size();) {
            const ssize_t n = ::write(pipe, piece.data() + done, piece.size() - done);
            if (n >= 0) {
                done += static_cast<size_t>(n);
            } else if (errno == EAGAIN) {
                co_await watch.writable();
            } else if (errno != EINTR) {
                co_return errno_error("unpacking");
            }
        }
    }
}

}  // namespace

PipedWorkers::~PipedWorkers() {
    for (const auto& job : jobs_) {
        if (const auto open = job.lock()) open->in.reset();
    }
}

Task<> PipedWorkers::work_on(std::shared_ptr<Job> job) {
    job->result.emplace(co_await workers_.run_for(job->customer, [&] { return job->work(job->out.get()); }));
}

Task<Result<void>> PipedWorkers::run(std::string what, std::string customer, Work work, Source source) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) co_return errno_error("making a pipe");
    const auto job = std::make_shared<Job>(executor_);
    job->out = UniqueFd(ends[0]);
    job->in = UniqueFd(ends[1]);
    if (fcntl(job->in.get(), F_SETFL, O_NONBLOCK) != 0) co_return errno_error("making a pipe");
    job->customer = std::move(customer);
    job->work = std::move(work);
    std::erase_if(jobs_, [](const auto& other) { return other.expired(); });
    jobs_.push_back(job);
    const Undo hang_up([&job] { job->in.reset(); });  // or the work would wait for the rest of it
    spawn(executor_, what, work_on(job), [job](const Result<void>& how) {
        if (!how.ok()) job->result.emplace(how.error());
        job->out.reset();  // whoever still feeds it learns that nobody reads
        job->ended.set();
    });
    auto fed = co_await feed(executor_, job->in.get(), source);
    job->in.reset();
    co_await job->ended.wait();
    if (!job->result->ok()) co_return *job->result;
    co_return fed;
}

}  // namespace hutch::daemon
