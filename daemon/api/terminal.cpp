// A command with its input and, if asked for, a terminal, over a WebSocket:
//   client: text   {"command": [...], "folder"?, "tty": true, "rows", "cols", "term"?}    first
//           binary input     text {"resize": {"rows", "cols"}}     text {"eof": true}
//           text {"signal": "INT"}, for the command
//   server: binary output    text {"exit_code", "cpu_ns"} or {"error"}                    last
// Without a terminal and with "errors": "separate", the first byte of each output tells the stream: 1, or 2 for errors.

#include "base/undo.h"
#include "daemon/api/command_input.h"
#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

struct Opening {
    Command command;
    bool tty = false;
    bool apart = false;  ///< its errors are
};

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
        opening.command.terminal = TRY(decode_screen(fields));
        opening.command.env.emplace_back("TERM", TRY(fields.text("term")).value_or("xterm-256color"));
    }
    return opening;
}

Result<void> resize(const CommandInput& input, const std::string& text) {
    const Fields fields = TRY(Fields::parse(text));
    const auto size = TRY(fields.object("resize"));
    return size ? input.resize(TRY(decode_screen(*size))) : Result<void>();
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
    Event left;  ///< its client has, or has said that it does
    CommandInput input;
    bool tty = false;
    std::function<void()> hang_up;  ///< set while the command runs
    std::function<void(Signalled)> signal;
};

Task<> carry_input(std::shared_ptr<Session> session, asio::any_io_executor executor) {
    for (;;) {
        auto frame = co_await session->socket->read();
        if (!frame.ok()) break;
        if (!frame.value().text) {
            co_await session->input.feed(executor, frame.value().data);
        } else if (says_eof(frame.value().data)) {
            session->input.finish();
        } else if (const auto signal = signal_in(frame.value().data)) {
            if (session->signal) session->signal(*signal);
        } else {
            (void)resize(session->input, frame.value().data);
        }
    }
}

void end_input(Session& session) {
    session.input.close();
    session.left.set();
    // Who closes a terminal's window wants its programs gone, as a modem that hangs up.
    if (session.tty && session.hang_up) session.hang_up();
}

Task<Result<Outcome>> converse(Services& services, const std::shared_ptr<Session>& session,
                               const std::shared_ptr<Box>& box, Result<Opening> decoded) {
    CO_TRY_LET(Opening opening, std::move(decoded));
    CO_TRY_LET(UniqueFd its_end, session->input.open(*box, opening.command));
    session->tty = opening.tty;
    CO_TRY_LET(const auto run, co_await services.runs.start(box, std::move(opening.command), std::move(its_end)));
    CO_TRY(session->input.attach(*run));
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
