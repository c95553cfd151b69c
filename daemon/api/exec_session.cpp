// A command over a WebSocket as newer clients of the contract speak it: JSON in text frames, bytes in base64.
//   client: {"type": "start", argv or cmd, cwd?, env?, tty?, rows?, cols?}    first, and once
//           stdin {data}   stdin_close   resize {rows, cols}   signal {signal}   terminate {graceMs?}
//   server: started {pid, execId}   stdout {data}   stderr {data}   error {message}   exit {code}, last
// The command ends with its client, whichever way that goes, and with the daemon.
//
//   frames -> listen() -> what waits for the command -> feed() -> its stdin
//
// listen() reads no further while kMostUnsent waits; a client that closes is noticed all the same (Socket::hung_up).

#include <signal.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <deque>

#include "daemon/api/command_input.h"
#include "daemon/api/rate.h"
#include "daemon/api/resources.h"
#include "daemon/run/ending.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using namespace asio::experimental::awaitable_operators;
using Clock = std::chrono::steady_clock;

constexpr JsonBounds kFrameBounds{.bytes = 1 << 20, .values = 20'000, .depth = 8};
constexpr std::chrono::seconds kStartWithin{30};
constexpr size_t kMostUnsent = 1 << 20;    // bytes for a command that does not read them,
constexpr size_t kEachWaiting = 64;        // and for each frame besides
constexpr uint32_t kMostControls = 6'000;  // a minute, frames that are not stdin; more are read later
constexpr size_t kMostFaults = 100;        // frames that are answered by an error; one more ends it
constexpr int64_t kGraceMs = 5'000;
constexpr int64_t kMostGraceMs = 3'600'000;

struct Message {
    std::string type;
    Fields fields;
    std::string data{};  ///< of stdin
};

Result<Message> read_message(const Socket::Frame& frame) {
    if (!frame.text) return invalid("frame: must be JSON in a text frame, not binary");
    Json json = TRY_IN("frame", parse_json(frame.data, kFrameBounds));
    if (!json.is_object()) return invalid("frame: must be a JSON object");
    Fields fields = Fields::of(std::move(json));
    Message message{TRY(fields.required_text("type")), std::move(fields)};
    if (message.type != "stdin") return message;
    const std::string data = TRY(message.fields.take_text("data"));
    message.data = TRY(decode_base64("data", data));
    return message;
}

// Some are a whole environment of the client's own machine.
Result<Pairs> decode_list(const Fields& fields) {
    Pairs env;
    for (const std::string& variable : TRY(fields.texts("env"))) {
        const size_t equals = variable.find('=');
        if (equals == std::string::npos) return invalid("env: \"" + variable + "\" is not NAME=VALUE");
        const std::string name = variable.substr(0, equals);
        if (name != "PATH" && !is_reserved_variable(name)) env.emplace_back(name, variable.substr(equals + 1));
    }
    return checked_env("env", std::move(env));
}

Result<Command> decode_start(const Services& services, const Box& box, const Message& start) {
    const Fields& fields = start.fields;
    if (start.type != "start") return invalid("type: \"" + start.type + "\" came before start, which is the first");
    if (fields.has("argv") == fields.has("cmd")) {
        return invalid("start: needs argv, an array of strings, or cmd, a line for bash");
    }
    Command command;
    if (fields.has("argv")) {
        command.argv = TRY(decode_argv(fields, "argv"));
    } else {
        command.argv = {"bash", "-lc", TRY(fields.required_text("cmd"))};
        command.without_program = "cmd: is run by bash, which the box has not; use argv";
        if (command.argv.back().find('\0') != std::string::npos)
            return invalid("cmd: must not contain a NUL character");
    }
    const std::string cwd = TRY(fields.text_or("cwd", ""));
    if (!cwd.empty() && cwd.front() != '/') return invalid("cwd: must be absolute");
    Json place{{"folder", cwd}};
    if (const auto user = TRY(fields.text("user"))) place["user"] = *user;
    TRY(decode_surroundings(services, box, Fields::of(std::move(place)), command));
    const Pairs own = TRY(decode_list(fields));
    command.env.insert(command.env.end(), own.begin(), own.end());
    command.errors = Errors::kSeparate;
    if (TRY(fields.flag("tty")).value_or(false)) {
        command.terminal = TRY(decode_screen(fields));
        command.errors = Errors::kMerged;
        command.env.emplace_back("TERM", "xterm-256color");
    }
    command.with_client = true;
    return command;
}

// As a start calls what other calls name otherwise.
Error in_words_of_start(Error error) {
    for (const auto& [theirs, ours] : {std::pair("folder:", "cwd:"), std::pair("command:", "argv:")}) {
        if (error.message.starts_with(theirs)) error.message.replace(0, std::string_view(theirs).size(), ours);
    }
    return error;
}

Json error_frame(const std::string& message) {
    return {{"type", "error"}, {"message", message}};
}

/// What the two directions share; the one that listens may end after the command.
class Conversation : public std::enable_shared_from_this<Conversation> {
  public:
    Conversation(const asio::any_io_executor& executor, std::unique_ptr<Socket> socket, Workers& decoders)
        : executor_(executor),
          socket_(std::move(socket)),
          decoders_(decoders),
          left_(executor),
          over_(executor),
          moved_(executor) {}

    Task<Result<void>> say(Json json) {
        const std::string text = dump(json);
        co_return co_await socket_->write(true, text);
    }
    Task<Result<Message>> next();
    Task<Result<Message>> decode(size_t bytes, std::function<Result<Message>()> read);
    /// Until the client leaves, or says no start in time.
    Task<Result<Message>> first();
    Task<> finish();

    Sink sink(const char* type);
    void converse(const std::shared_ptr<Run>& run, CommandInput input);
    Task<> left() { co_await left_.wait(); }
    [[nodiscard]] bool has_left() const { return left_.is_set(); }

  private:
    static Task<> listen(std::shared_ptr<Conversation> self);
    static Task<> feed(std::shared_ptr<Conversation> self);
    void give(std::optional<std::string> input);
    Task<Result<void>> take(Message message);
    Task<Result<void>> control(const Message& message);
    Task<bool> may_go_on();

    asio::any_io_executor executor_;
    std::unique_ptr<Socket> socket_;
    Workers& decoders_;
    Event left_;  ///< its client has, or is to
    Event over_;
    Signal moved_;  ///< what waits became more or less
    std::shared_ptr<Run> run_;
    CommandInput input_;
    std::deque<std::optional<std::string>> waiting_;  ///< nothing: the end of stdin
    size_t waiting_bytes_ = 0;
    Rate controls_{kMostControls};
    std::optional<Millis> early_;  ///< the last one was, by so much
    size_t faults_ = 0;
};

// As Exchange::decode, which has ended when the last frames come.
Task<Result<Message>> Conversation::decode(size_t bytes, std::function<Result<Message>()> read) {
    if (bytes <= Exchange::kFewBytes) co_return read();
    co_return co_await decoders_.run(std::move(read));
}

Task<Result<Message>> Conversation::next() {
    CO_TRY_LET(const auto frame, co_await socket_->read());
    const auto read = [&frame] { return read_message(frame); };
    auto message = co_await decode(frame.data.size(), read);
    if (!message.ok()) co_return Error{ErrorKind::kInvalid, 0, message.error().message};
    co_return message;
}

Task<Result<Message>> Conversation::first() {
    // Before the wait for a frame is cut off: after that nothing can be said any more.
    const auto expire = [this]() -> Task<> {
        asio::steady_timer patience(executor_, kStartWithin);
        const auto [cut] = co_await patience.async_wait(kAwait);
        if (!cut) (void)co_await say(error_frame("start: did not come within 30 seconds"));
    };
    auto came = co_await unless(expire(), next());
    if (!came) co_return client_left("said no start");
    co_return *std::move(came);
}

Task<> Conversation::finish() {
    over_.set();
    moved_.notify();
    co_await socket_->close();
}

Sink Conversation::sink(const char* type) {
    return [this, type](std::string_view piece) {
        Json said{{"type", type}, {"data", encode_base64(piece)}};
        return say(std::move(said));
    };
}

void Conversation::converse(const std::shared_ptr<Run>& run, CommandInput input) {
    run_ = run;
    input_ = std::move(input);
    const auto self = shared_from_this();
    spawn(executor_, "listening to the client of run " + run->record().id, listen(self), [self](const Result<void>&) {
        self->left_.set();
        self->moved_.notify();
    });
    spawn(executor_, "feeding run " + run->record().id, feed(self));
}

Task<> Conversation::listen(std::shared_ptr<Conversation> self) {
    while (co_await self->may_go_on()) {
        auto message = co_await self->next();
        if (!message.ok() && message.error().kind != ErrorKind::kInvalid) co_return;  // it is gone
        Result<void> taken;
        if (message.ok()) {
            taken = co_await self->take(std::move(message).value());
        } else {
            taken = message.error();
        }
        if (taken.ok()) continue;
        if (++self->faults_ > kMostFaults) {
            (void)co_await self->say(error_frame("frame: too many that are none of this call; the session ends"));
            co_return;
        }
        const auto said = co_await self->say(error_frame(taken.error().message));
        if (!said.ok()) co_return;
    }
}

// While much waits, or much was asked, the client's next frames stay with the kernel, and it is held back.
Task<bool> Conversation::may_go_on() {
    if (const auto early = std::exchange(early_, std::nullopt)) {
        asio::steady_timer pause(executor_, *early);
        const auto ended = co_await (pause.async_wait(kAwait) || over_.wait() || socket_->hung_up());
        if (ended.index() == 2) co_return false;
    }
    while (waiting_bytes_ >= kMostUnsent && !over_.is_set()) {
        const auto ended = co_await (moved_.wait() || socket_->hung_up());
        if (ended.index() == 1) co_return false;
    }
    co_return true;
}

Task<> Conversation::feed(std::shared_ptr<Conversation> self) {
    const auto all = [&self]() -> Task<> {
        for (;;) {
            while (self->waiting_.empty()) co_await self->moved_.wait();
            const auto next = std::move(self->waiting_.front());
            self->waiting_.pop_front();
            if (next) {
                co_await self->input_.feed(self->executor_, *next);
            } else {
                self->input_.finish();
            }
            self->waiting_bytes_ -= kEachWaiting + (next ? next->size() : 0);
            self->moved_.notify();
        }
    };
    (void)co_await ends_before(all(), self->over_.wait());
    self->input_.close();
}

void Conversation::give(std::optional<std::string> input) {
    waiting_bytes_ += kEachWaiting + (input ? input->size() : 0);
    waiting_.push_back(std::move(input));
    moved_.notify();
}

Task<Result<void>> Conversation::take(Message message) {
    if (message.type == "stdin") {
        give(std::move(message.data));
        co_return Result<void>();
    }
    early_ = controls_.take("", Clock::now());
    co_return co_await control(message);
}

Task<Result<void>> Conversation::control(const Message& message) {
    const Fields& fields = message.fields;
    if (message.type == "stdin_close") {
        give(std::nullopt);
    } else if (message.type == "resize") {
        CO_TRY_LET(const auto size, decode_screen(fields));
        CO_TRY(input_.resize(size));
    } else if (message.type == "signal") {
        CO_TRY_LET(const Signalled signalled, decode_signal(fields));
        CO_TRY(run_->signal_all(signalled.number, signalled.cancel_after));
    } else if (message.type == "terminate") {
        CO_TRY_LET(const auto given, fields.number("graceMs"));
        const int64_t grace = given.value_or(kGraceMs);
        if (grace < 0 || grace > kMostGraceMs) co_return invalid("graceMs: must be from 0 to 3600000");
        if (grace == 0) run_->cancel();
        CO_TRY(run_->signal_all(SIGTERM, std::chrono::milliseconds(grace)));
    } else if (message.type == "start") {
        co_return invalid("start: the command of this session has started; open another");
    } else {
        co_return invalid("type: \"" + message.type.substr(0, 64) +
                          "\" is not one of start, stdin, stdin_close, resize, signal, terminate");
    }
    co_return Result<void>();
}

Task<Result<std::shared_ptr<Run>>> start_command(Services& services, std::shared_ptr<Conversation> talk,
                                                 std::shared_ptr<Box> box) {
    CO_TRY_LET(const Message start, co_await talk->first());
    CO_TRY_LET(Command command, decode_start(services, *box, start));
    CommandInput input;
    CO_TRY_LET(UniqueFd its_end, input.open(*box, command));
    auto run = co_await services.runs.start(box, std::move(command), std::move(its_end));
    if (!run.ok()) co_return in_words_of_start(std::move(run).error());
    CO_TRY(input.attach(*run.value()));
    Json started{{"type", "started"}, {"pid", run.value()->pid()}, {"execId", run.value()->record().id}};
    CO_TRY(co_await talk->say(std::move(started)));
    talk->converse(run.value(), std::move(input));
    co_return run;
}

Task<Result<std::optional<Response>>> exec_session(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(auto socket, co_await exchange.upgrade());
    const auto talk = std::make_shared<Conversation>(box->executor(), std::move(socket), exchange.decoders());
    auto run = co_await start_command(services, talk, box);
    if (!run.ok()) {
        (void)co_await talk->say(error_frame(run.error().message));
        co_await talk->finish();
        co_return std::optional<Response>();
    }
    const auto leave_or_end = [&]() -> Task<> { co_await (talk->left() || services.events.closing()); };
    const Sink output = talk->sink("stdout");
    const Sink errors = talk->sink("stderr");
    auto outcome = co_await unless(leave_or_end(), run.value()->follow(output, errors, Reader::kClient));
    if (!outcome || !outcome->ok()) run.value()->cancel();  // nothing when it has ended
    const bool gone = talk->has_left();
    if (!gone) {
        Json last = error_frame("hutchd ends, and the command with it");
        if (outcome && !outcome->ok()) last = error_frame(outcome->error().message);
        if (outcome && outcome->ok()) last = {{"type", "exit"}, {"code", outcome->value().exit_code}};
        (void)co_await talk->say(std::move(last));
    }
    co_await talk->finish();
    if (gone) co_return client_left();
    co_return std::optional<Response>();
}

}  // namespace

void add_exec_session_routes(Router& router, Services& services) {
    router.add("GET", "/v2/box/{id}/exec-session", with(services, exec_session));
}

}  // namespace hutch::daemon
