// A command with its input and, if asked for, a terminal, over a WebSocket:
//   client: text   {"command": [...], "folder"?, "tty": true, "rows", "cols", "term"?}    first
//           binary input     text {"resize": {"rows", "cols"}}     text {"eof": true}
//           text {"signal": "INT"}, for the command
//   server: binary output    text {"exit_code", "cpu_ns"} or {"error"}                    last
// Without a terminal and with "errors": "separate", the first byte of each output tells the stream: 1, or 2 for errors.

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/undo.h"
#include "daemon/api/resources.h"
#include "daemon/fd_watch.h"
#include "daemon/files/files.h"
#include "daemon/run/pipe.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

struct Opening {
    Command command;
    bool tty = false;
    bool apart = false;  ///< its errors are
};

Result<uint16_t> screen_size(const Fields& fields, const char* field, int64_t otherwise) {
    const int64_t value = TRY(fields.number(field)).value_or(otherwise);
    if (value < 1 || value > 10000) return invalid(std::string(field) + ": must be from 1 to 10000");
    return static_cast<uint16_t>(value);
}

Result<Opening> decode_opening(const Services& services, const Box& box, const std::string& text) {
    const Fields fields = TRY(Fields::parse(text));
    Opening opening;
    opening.command = TRY(decode_command(services, box, fields));
    opening.tty = TRY(fields.flag("tty")).value_or(false);
    const std::string errors = TRY(fields.text_or("errors", "merged"));
    if (errors != "separate" && errors != "merged") return invalid("errors: must be separate or merged");
    opening.apart = errors == "separate" && !opening.tty;
    if (opening.apart) opening.command.errors = Errors::kSeparate;
    if (opening.tty) {
        opening.command.terminal = {TRY(screen_size(fields, "rows", 24)), TRY(screen_size(fields, "cols", 80))};
        opening.command.env.emplace_back("TERM", TRY(fields.text("term")).value_or("xterm-256color"));
    }
    return opening;
}

// Writes all of it into a non-blocking descriptor. False when nobody reads it any more.
Task<bool> feed(FdWatch& watch, int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = ::write(fd, data.data(), data.size());
        if (n >= 0) {
            data.remove_prefix(static_cast<size_t>(n));
        } else if (errno == EAGAIN) {
            if (!co_await watch.writable()) co_return false;
        } else if (errno != EINTR) {
            co_return false;
        }
    }
    co_return true;
}

Result<void> resize(int terminal, const std::string& text) {
    const Fields fields = TRY(Fields::parse(text));
    const auto size = TRY(fields.object("resize"));
    if (!size || terminal < 0) return {};
    const winsize window{TRY(screen_size(*size, "rows", 24)), TRY(screen_size(*size, "cols", 80)), 0, 0};
    if (ioctl(terminal, TIOCSWINSZ, &window) != 0) return errno_error("resizing the terminal");
    return {};
}

bool says_eof(const std::string& text) {
    const auto fields = Fields::parse(text);
    if (!fields.ok()) return false;
    const auto eof = fields.value().flag("eof");
    return eof.ok() && eof.value().value_or(false);
}

std::optional<Signalled> signal_in(const std::string& text) {
    const auto fields = Fields::parse(text);
    const auto signalled = fields.ok() ? decode_signal(fields.value()) : fields.error();
    return signalled.ok() ? std::optional(signalled.value()) : std::nullopt;
}

// A session owns what its two directions share; the input side may end after the command has.
struct Session {
    std::unique_ptr<Socket> socket;
    explicit Session(const asio::any_io_executor& executor) : left(executor) {}
    Event left;      ///< its client has, or has said that it does
    UniqueFd input;  ///< of the command: its stdin pipe, or the terminal
    bool tty = false;
    std::function<void()> hang_up;  ///< set while the command runs
    std::function<void(Signalled)> signal;
};

Task<> carry_input(std::shared_ptr<Session> session, asio::any_io_executor executor) {
    for (;;) {
        auto frame = co_await session->socket->read();
        if (!frame.ok()) break;
        if (!frame.value().text) {
            if (!session->input) continue;
            FdWatch watch(executor, session->input.get());
            if (!co_await feed(watch, session->input.get(), frame.value().data)) session->input.reset();
        } else if (says_eof(frame.value().data)) {
            if (!session->input) continue;
            constexpr char kEndOfTransmission[] = {4};
            if (session->tty) {
                [[maybe_unused]] const ssize_t n = ::write(session->input.get(), kEndOfTransmission, 1);
            } else {
                session->input.reset();
            }
        } else if (const auto signal = signal_in(frame.value().data)) {
            if (session->signal) session->signal(*signal);
        } else {
            (void)resize(session->tty ? session->input.get() : -1, frame.value().data);
        }
    }
}

void end_input(Session& session) {
    session.input.reset();
    session.left.set();
    // Who closes a terminal's window wants its programs gone, as a modem that hangs up.
    if (session.tty && session.hang_up) session.hang_up();
}

Task<Result<Outcome>> converse(Services& services, const std::shared_ptr<Session>& session,
                               const std::shared_ptr<Box>& box, Result<Opening> decoded) {
    CO_TRY_LET(Opening opening, std::move(decoded));
    UniqueFd command_input;
    if (!opening.tty) {
        CO_TRY_LET(auto pipe, make_pipe(PipeOf::kInput, box->uid_base() + opening.command.user.uid));
        command_input = std::move(pipe[0]);
        session->input = std::move(pipe[1]);
    }
    session->tty = opening.tty;
    CO_TRY_LET(const auto run, co_await services.runs.start(box, std::move(opening.command), std::move(command_input)));
    if (session->tty) {
        CO_TRY_LET(session->input, duplicate(run->terminal()));
    }
    fcntl(session->input.get(), F_SETFL, O_NONBLOCK);
    spawn(box->executor(), "carrying the input of run " + run->record().id, carry_input(session, box->executor()),
          [session](const Result<void>&) { end_input(*session); });
    const auto forward = [&session, apart = opening.apart](char stream) -> Sink {
        if (!apart) return [&session](std::string_view piece) { return session->socket->write(false, piece); };
        return [&session, stream](std::string_view piece) -> Task<Result<void>> {
            const std::string told = stream + std::string(piece);
            co_return co_await session->socket->write(false, told);
        };
    };
    const Sink output = forward(1);
    const Sink errors = forward(2);
    session->hang_up = [&run] { run->cancel(); };
    session->signal = [&run](Signalled sent) { (void)run->signal(sent.number, sent.cancel_after); };
    const Undo over([&session] {
        session->hang_up = nullptr;
        session->signal = nullptr;
    });
    auto outcome = co_await unless(session->left.wait(), run->follow(output, errors, Reader::kClient));
    if (session->tty && !(outcome && outcome->ok())) run->cancel();  // one that nobody sees; nothing if it has ended
    if (!outcome) co_return client_left();
    co_return *std::move(outcome);
}

Task<Result<std::optional<Response>>> terminal(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    const auto session = std::make_shared<Session>(box->executor());
    CO_TRY_LET(session->socket, co_await exchange.upgrade());
    CO_TRY_LET(const auto first, co_await session->socket->read());
    const auto outcome = co_await converse(services, session, box, decode_opening(services, *box, first.data));
    if (session->left.is_set()) co_return client_left();
    const Json last = outcome.ok() ? outcome_json(outcome.value()) : error_json(outcome.error());
    (void)co_await session->socket->write(true, dump(last));
    co_await session->socket->close();
    co_return std::optional<Response>();
}

}  // namespace

void add_terminal_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/exec-tty", with(services, terminal));
}

}  // namespace hutch::daemon
