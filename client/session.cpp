#include "client/session.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <csignal>
#include <deque>
#include <optional>

#include "base/file.h"
#include "client/api.h"
#include "client/interrupts.h"
#include "client/tty.h"
#include "client/web_socket.h"

namespace hutch::client {
namespace asio = boost::asio;

namespace {

Error broken(const ErrorCode& code) {
    return Error{ErrorKind::kSystem, 0, "the session with the daemon broke off: " + code.message()};
}

/// Standard input without touching its flags: O_NONBLOCK would stick to the open file we share with the shell. Asio
/// sets it on whatever it waits for, so it waits for an epoll instance that watches standard input. Regular files
/// and /dev/null cannot be watched (epoll_ctl(2): EPERM) and never block either: they are always ready.
class Input {
  public:
    static Result<Input> open(asio::io_context& io) {
        UniqueFd gate(epoll_create1(EPOLL_CLOEXEC));
        if (!gate) return errno_error("making an epoll instance");
        epoll_event event{.events = EPOLLIN, .data = {}};
        if (epoll_ctl(gate.get(), EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0) return Input(io, std::move(gate));
        if (errno != EPERM) return errno_error("watching standard input");
        return Input(io, {});
    }
    template <typename F>
    void when_ready(F handler) {
        if (gate_) {
            gate_->async_wait(asio::posix::descriptor_base::wait_read, handler);
        } else {
            asio::post(*io_, [handler] { handler(ErrorCode()); });
        }
    }

  private:
    Input(asio::io_context& io, UniqueFd gate) : io_(&io) {
        if (gate) gate_.emplace(io, gate.release());
    }
    asio::io_context* io_;
    std::optional<asio::posix::stream_descriptor> gate_;
};

class Session {
  public:
    Session(asio::io_context& io, WebSocket& socket) : io_(io), socket_(socket), ending_(io), resizing_(io) {}

    Result<SessionEnd> run(const SessionPlan& plan) {
        raw_ = plan.terminal == SessionPlan::Terminal::kRaw;
        apart_ = plan.errors == SessionPlan::Errors::kApart;
        catch_signals(plan);
        std::optional<Result<RawMode>> raw;
        if (plan.terminal == SessionPlan::Terminal::kRaw) {
            raw.emplace(RawMode::enter(STDIN_FILENO));
            if (!raw->ok()) return raw->error();
        }
        queue({plan.hello, Frame::Kind::kText});
        if (plan.input == SessionPlan::Input::kStdin) {
            input_.emplace(TRY(Input::open(io_)));
            await_input();
        }
        read_next();
        io_.run();
        if (failure_) return std::move(*failure_);
        return end_;
    }

  private:
    struct Frame {
        std::string bytes;
        enum class Kind { kText, kInput } kind;
    };

    void catch_signals(const SessionPlan& plan) {
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
            struct sigaction current {};
            // What is ignored from the start (nohup(1)) stays so.
            if (sigaction(signal, nullptr, &current) == 0 && current.sa_handler != SIG_IGN) ending_.add(signal);
        }
        await_signal();
        if (plan.terminal != SessionPlan::Terminal::kRaw) return;
        resizing_.add(SIGWINCH);
        await_resize();
    }

    void await_signal() {
        ending_.async_wait([this](const ErrorCode& code, int signal) {
            if (code) return;
            if (raw_ || ++signals_ > 2) {
                end_.signal = signal;
                return io_.stop();
            }
            send_signal(signals_ == 1 ? sigabbrev_np(signal) : "KILL", signal == SIGHUP);
            await_signal();
        });
    }

    /// `alone`: nobody will ask for it a second time.
    void send_signal(const char* name, bool alone) {
        end_.interrupted = true;
        Json text = {{"signal", name}};
        if (alone) text["cancel_after"] = kPatienceMs;
        queue({text.dump(), Frame::Kind::kText});
    }

    void await_resize() {
        resizing_.async_wait([this](const ErrorCode& code, int) {
            if (code) return;
            const WindowSize size = window_size();
            queue({Json{{"resize", {{"rows", size.rows}, {"cols", size.columns}}}}.dump(), Frame::Kind::kText});
            await_resize();
        });
    }

    void await_input() {
        input_->when_ready([this](const ErrorCode& code) {
            if (!code) read_input();
        });
    }

    /// The next input is read only after this one is sent: a slow box slows its input down, not our memory up.
    void read_input() {
        std::array<char, size_t{32} << 10> bytes{};
        const ssize_t size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (size < 0 && (errno == EINTR || errno == EAGAIN)) return await_input();
        if (size > 0) return queue({std::string(bytes.data(), static_cast<size_t>(size)), Frame::Kind::kInput});
        queue({R"({"eof":true})", Frame::Kind::kText});  // a terminal that hung up reads as EIO: an end as well
    }

    void queue(Frame frame) {
        frames_.push_back(std::move(frame));
        if (frames_.size() == 1) write_next();
    }

    void write_next() {
        const Frame& frame = frames_.front();
        socket_.binary(frame.kind == Frame::Kind::kInput);
        socket_.async_write(asio::buffer(frame.bytes), [this](const ErrorCode& code, size_t) {
            if (code) return;  // the read side learns why, and perhaps the final frame first
            const Frame::Kind sent = frames_.front().kind;
            frames_.pop_front();
            if (!frames_.empty()) write_next();
            if (sent == Frame::Kind::kInput) await_input();
        });
    }

    void read_next() {
        socket_.async_read_some(buffer_, size_t{64} << 10, [this](const ErrorCode& code, size_t) {
            if (code) return fail(broken(code));
            const auto data = buffer_.cdata();
            const std::string_view bytes(static_cast<const char*>(data.data()), data.size());
            if (socket_.got_text()) {
                end_.final_frame += bytes;
                if (socket_.is_message_done()) return io_.stop();
            } else if (const auto written = pass_on(bytes); !written.ok()) {
                return fail(Error(written.error()).in("passing on the output"));
            }
            buffer_.consume(data.size());
            read_next();
        });
    }

    /// A message may come in several pieces.
    Result<void> pass_on(std::string_view bytes) {
        if (apart_ && fresh_ && !bytes.empty()) {
            stream_ = bytes.front() == 2 ? STDERR_FILENO : STDOUT_FILENO;
            bytes.remove_prefix(1);
        }
        fresh_ = socket_.is_message_done();
        if (closed_ || bytes.empty()) return {};
        const auto written = write_all(stream_, bytes);
        if (written.ok() || raw_ || written.error().code != EPIPE) return written;
        closed_ = true;
        send_signal("PIPE", true);
        return {};
    }

    void fail(Error error) {
        failure_ = std::move(error);
        io_.stop();
    }

    asio::io_context& io_;
    WebSocket& socket_;
    asio::signal_set ending_;
    asio::signal_set resizing_;
    std::optional<Input> input_;
    std::deque<Frame> frames_;  ///< the first is being written
    boost::beast::flat_buffer buffer_;
    SessionEnd end_;
    std::optional<Error> failure_;
    bool raw_ = false;
    int signals_ = 0;
    bool apart_ = false;
    bool fresh_ = true;  ///< a message begins
    int stream_ = STDOUT_FILENO;
    bool closed_ = false;  ///< nobody reads what is passed on
};

}  // namespace

Result<SessionEnd> run_session(const Endpoint& endpoint, const SessionPlan& plan) {
    asio::io_context io;
    WebSocket socket = TRY(open_web_socket(io, endpoint, plan.target));
    (void)std::signal(SIGPIPE, SIG_IGN);
    return Session(io, socket).run(plan);
}

}  // namespace hutch::client
