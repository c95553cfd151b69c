#include "daemon/run/run.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>

#include "base/file.h"
#include "daemon/box/box.h"
#include "daemon/fd_watch.h"

namespace hutch::daemon {
namespace {

struct Pipe {
    UniqueFd read, write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    // Only our end: the command's must block, which is the back pressure.
    if (fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0) return errno_error("making a pipe");
    return pipe;
}

int exit_code_of(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// The variables every command finds, then the command's own, the later one winning.
std::vector<std::string> environment(const Command& command) {
    std::map<std::string, std::string> variables = {
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        {"HOME", command.user.home},
        {"USER", command.user.name},
        {"LOGNAME", command.user.name},
        {"SHELL", "/bin/sh"},
        {"LANG", "C.UTF-8"},
    };
    for (const auto& [name, value] : command.env) variables[name] = value;
    std::vector<std::string> list;
    for (const auto& [name, value] : variables) list.push_back(name + "=" + value);
    return list;
}

Error said_plainly(Error failure, const Command& command) {
    if (failure.kind == ErrorKind::kInvalid) {
        failure.message =
            "folder: cannot enter \"" + command.work_dir + "\" in the box: " + std::strerror(failure.code);
    } else if (failure.kind == ErrorKind::kNotFound) {
        failure.kind = ErrorKind::kInvalid;
        failure.message = "command: cannot run \"" + command.argv[0] + "\" in the box: " +
                          (failure.code == ENOENT ? "no such program in its PATH" : std::strerror(failure.code));
    }
    return failure;
}

}  // namespace

Result<User> find_user(const std::string& name) {
    if (name == "root") return User{"root", 0, 0, "/root"};
    if (name == "boxuser") return User{"boxuser", 1000, 1000, "/home/boxuser"};
    return invalid("user: \"" + name + "\" is not one of root, boxuser");
}

Run::Run(std::shared_ptr<Box> box, uint64_t id, std::shared_ptr<ActiveRun> active)
    : box_(std::move(box)), id_(id), active_(std::move(active)), started_at_(std::chrono::steady_clock::now()) {}

Run::~Run() {
    if (box_) box_->forget_run(id_);
}

void Run::kill() {
    (void)active_->leaf.kill();
}

Task<Result<Run>> Run::start(std::shared_ptr<Box> box, Command command, bool merge_output, UniqueFd input) {
    const Lap lap;
    CO_TRY_LET(auto begun, box->begin_run());
    Run run(box, begun.first, begun.second);
    run.lap_ = lap;
    run.timeout_ = command.timeout;
    runtime::RunSpec spec{.id = run.id_,
                          .argv = command.argv,
                          .env = environment(command),
                          .work_dir = command.work_dir,
                          .uid = command.user.uid,
                          .gid = command.user.gid,
                          .leaf = run.active_->leaf.fd(),
                          .in = input.get(),
                          .out = -1,
                          .err = -1,
                          .terminal = command.terminal};
    Pipe out;
    Pipe err;
    if (!command.terminal) {
        if (!input) {
            CO_TRY_LET(input, open_at(AT_FDCWD, "/dev/null", O_RDONLY));
            spec.in = input.get();
        }
        CO_TRY_LET(out, make_pipe());
        if (!merge_output) {
            CO_TRY_LET(err, make_pipe());
        }
        spec.out = out.write.get();
        spec.err = merge_output ? out.write.get() : err.write.get();
    }
    run.lap_.to(run.times_.leaf);
    CO_TRY(box->life().link.send(spec));
    out.write.reset();
    err.write.reset();
    input.reset();
    co_await run.active_->started.wait();
    if (run.active_->failure) co_return said_plainly(*run.active_->failure, command);
    run.out_ = std::move(out.read);
    if (command.terminal) {
        CO_TRY_LET(run.out_, duplicate(run.active_->terminal.get()));
        fcntl(run.out_.get(), F_SETFL, O_NONBLOCK);
    }
    run.err_ = std::move(err.read);
    run.lap_.to(run.times_.started);
    co_return run;
}

// Reads the next piece only after the last one was taken: that is the back pressure. After the exit it takes what is
// there, and does not wait for background processes that keep the pipe open.
Task<> Run::pump(int fd, const Sink& sink) {
    using namespace asio::experimental::awaitable_operators;
    FdWatch watch(box_->executor(), fd);
    bool listening = true;
    char buffer[32768];
    for (int pieces = 1;; ++pieces) {
        // A command may write as fast as we read, and a sink may never wait: the others' turn comes all the same.
        if (pieces % 16 == 0) co_await asio::post(box_->executor(), asio::use_awaitable);
        const ssize_t n = ::read(fd, buffer, sizeof(buffer));
        if (n > 0) {
            if (listening) listening = (co_await sink({buffer, static_cast<size_t>(n)})).ok();
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN && !active_->exited.is_set()) {
            co_await (watch.readable() || active_->exited.wait());
        } else {
            break;  // drained, or the end; EIO is a terminal's way of saying so
        }
    }
    co_await active_->exited.wait();
}

Task<Result<Outcome>> Run::finish(Sink out, Sink err) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer deadline(box_->executor());
    if (timeout_) {
        deadline.expires_at(started_at_ + *timeout_);
        deadline.async_wait([active = active_](const boost::system::error_code& cancelled) {
            if (cancelled || active->exited.is_set()) return;
            active->timed_out = true;
            (void)active->leaf.kill();
        });
    }
    if (err_) {
        co_await (pump(out_.get(), out) && pump(err_.get(), err));
    } else {
        co_await pump(out_.get(), out);
    }
    deadline.cancel();
    if (active_->failure) co_return *active_->failure;
    lap_.to(times_.exited);
    const auto cpu = active_->leaf.cpu_ns();
    const auto elapsed = std::chrono::steady_clock::now() - started_at_;
    box_->forget_run(id_);
    lap_.to(times_.finish);
    co_return Outcome{exit_code_of(active_->wait_status), cpu.ok() ? cpu.value() : 0,
                      std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count(), active_->timed_out,
                      times_};
}

}  // namespace hutch::daemon
