// A command with its input and, if asked for, a terminal, over a WebSocket:
//   client: text   {"command": [...], "folder"?, "tty": true, "rows", "cols", "term"?}    first
//           binary input     text {"resize": {"rows", "cols"}}     text {"eof": true}
//           text {"signal": "INT"}, for the command
//   server: binary output    text {"exit_code", "cpu_ns"} or {"error"}                    last
//   text {"run_id"}, first, if asked for by "tell_run": true
// Without a terminal and with "errors": "separate", the first byte of each output tells the stream: 1, or 2 for errors.

#include "base/undo.h"
#include "daemon/api/command_input.h"
#include "daemon/api/rate.h"
#include "daemon/api/resources.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

constexpr JsonBounds kOpeningBounds{.bytes = 1 << 20, .values = 20'000, .depth = 8};
constexpr JsonBounds kControlBounds{.bytes = 1024, .values = 16, .depth = 4};
constexpr uint32_t kMostControls = 6'000;  // a minute; more are read later

struct Opening {
    Command command;
    bool tty = false;
    bool apart = false;     ///< its errors are
    bool tell_run = false;  ///< which run it is
};

Result<Fields> read_frame(const std::string& text, const JsonBounds& bounds) {
    Json json = TRY_IN("frame", parse_json(text, bounds));
    if (!json.is_object()) return invalid("frame: must be a JSON object");
    return Fields::of(std::move(json));
}

Result<Opening> decode_opening(const Services& services, const Box& box, const Fields& fields) {
    Opening opening;
    opening.command = TRY(decode_command(services, box, fields));
    opening.tty = TRY(fields.flag("tty")).value_or(false);
    const std::string errors = TRY(fields.text_or("errors", "merged"));
    if (errors != "separate" && errors != "merged") return invalid("errors: must be separate or merged");
    opening.apart = errors == "separate" && !opening.tty;
    if (opening.apart) opening.command.errors = Errors::kSeparate;
    opening.tell_run = TRY(fields.flag("tell_run")).value_or(false);
    if (opening.tty) {
        opening.command.terminal = TRY(decode_screen(fields));
        opening.command.env.emplace_back("TERM", TRY(fields.text("term")).value_or("xterm-256color"));
    }
    return opening;
}

// A session owns what its two directions share; the input side may end after the command has.
struct Session {
    explicit Session(asio::any_io_executor its_executor) : executor(std::move(its_executor)), left(executor) {}
    asio::any_io_executor executor;
    std::unique_ptr<Socket> socket;
    Rate controls{kMostControls};
    Event left;  ///< its client has, or has said that it does
    CommandInput input;
    bool tty = false;
    std::function<void()> hang_up;  ///< set while the command runs
    std::function<void(Signalled)> signal;
};

// What cannot be read is nothing.
void control(Session& session, const std::string& text) {
    const auto fields = read_frame(text, kControlBounds);
    if (!fields.ok()) return;
    const auto eof = fields.value().flag("eof");
    if (eof.ok() && eof.value().value_or(false)) return session.input.finish();
    const auto signalled = decode_signal(fields.value());
    if (signalled.ok() && session.signal) session.signal(signalled.value());
    const auto size = fields.value().object("resize");
    if (!size.ok() || !size.value()) return;
    const auto screen = decode_screen(*size.value());
    if (screen.ok()) (void)session.input.resize(screen.value());
}

Task<> pause_for(std::shared_ptr<Session> session, Millis time) {
    asio::steady_timer timer(session->executor, time);
    co_await timer.async_wait(kAwait);
}

// A client that leaves is noticed while its command takes nothing, too.
Task<> carry_input(std::shared_ptr<Session> session) {
    for (bool there = true; there;) {
        auto frame = co_await session->socket->read();
        if (!frame.ok()) break;
        if (!frame.value().text) {
            auto feeding = session->input.feed(session->executor, frame.value().data);
            there = co_await ends_before(std::move(feeding), session->socket->hung_up());
            continue;
        }
        const auto early = session->controls.take("", std::chrono::steady_clock::now());
        control(*session, frame.value().data);
        if (!early) continue;
        auto pause = pause_for(session, *early);
        there = co_await ends_before(std::move(pause), session->socket->hung_up());
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
    const bool tell_run = opening.tell_run;
    CO_TRY_LET(const auto run, co_await services.runs.start(box, std::move(opening.command), std::move(its_end)));
    CO_TRY(session->input.attach(*run));
    if (tell_run) {
        const std::string text = dump(Json{{"run_id", run->record().id}});
        CO_TRY(co_await session->socket->write(true, text));
    }
    spawn(box->executor(), "carrying the input of run " + run->record().id, carry_input(session),
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
    const auto read = [&first] { return read_frame(first.data, kOpeningBounds); };
    const auto fields = co_await exchange.decode(first.data.size(), read);
    auto opening = fields.ok() ? decode_opening(services, *box, fields.value()) : Result<Opening>(fields.error());
    const auto outcome = co_await converse(services, session, box, std::move(opening));
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
