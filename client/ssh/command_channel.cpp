#include "client/ssh/command_channel.h"

#include <libssh/server.h>

#include "client/shell_words.h"

namespace hutch::client {
namespace {

constexpr size_t kMostVariableBytes = size_t{64} << 10;
constexpr int kMostCells = 4096;       // of a terminal, each way
constexpr int kCancelAfterMs = 5'000;  // what a guest's leaving did not end

}  // namespace

CommandChannel::CommandChannel(const Line& line, ssh_channel channel) : Channel(line, channel) {
    callbacks_.channel_pty_request_function = [](ssh_session, ssh_channel, const char* term, int columns, int rows, int,
                                                 int, void* self) {
        return static_cast<CommandChannel*>(static_cast<Channel*>(self))->set_terminal(term, columns, rows) ? 0 : -1;
    };
    callbacks_.channel_pty_window_change_function = [](ssh_session, ssh_channel, int columns, int rows, int, int,
                                                       void* self) {
        static_cast<CommandChannel*>(static_cast<Channel*>(self))->resize(columns, rows);
        return 0;
    };
    callbacks_.channel_env_request_function = [](ssh_session, ssh_channel, const char* name, const char* value,
                                                 void* self) {
        return static_cast<CommandChannel*>(static_cast<Channel*>(self))->add_variable(name, value) ? 0 : -1;
    };
    callbacks_.channel_shell_request_function = [](ssh_session, ssh_channel, void* self) {
        return static_cast<CommandChannel*>(static_cast<Channel*>(self))->start(words_of_shell()) ? 0 : -1;
    };
    callbacks_.channel_exec_request_function = [](ssh_session, ssh_channel, const char* command, void* self) {
        return static_cast<CommandChannel*>(static_cast<Channel*>(self))->start(words_of_command(command)) ? 0 : -1;
    };
    callbacks_.channel_subsystem_request_function = [](ssh_session, ssh_channel, const char* name, void* self) {
        return static_cast<CommandChannel*>(static_cast<Channel*>(self))->start(words_of_subsystem(name)) ? 0 : -1;
    };
    callbacks_.channel_signal_function = [](ssh_session, ssh_channel, const char* name, void* self) {
        static_cast<CommandChannel*>(static_cast<Channel*>(self))->send_signal(name, 0);
    };
}

bool CommandChannel::set_terminal(const char* term, int columns, int rows) {
    if (started_) return false;
    terminal_ = true;
    term_ = term;
    resize(columns, rows);
    return true;
}

// A guest that knows no size says 0.
void CommandChannel::resize(int columns, int rows) {
    if (columns <= 0 || rows <= 0) return;
    columns_ = std::min(columns, kMostCells);
    rows_ = std::min(rows, kMostCells);
    resized_ = started_ && terminal_;
}

bool CommandChannel::add_variable(const char* name, const char* value) {
    env_bytes_ += std::string_view(name).size() + std::string_view(value).size();
    if (started_ || env_bytes_ > kMostVariableBytes) return false;
    env_[name] = value;
    return true;
}

bool CommandChannel::start(const std::vector<std::string>& words) {
    if (started_ || words.empty()) return false;
    started_ = true;
    auto hello = hello_of(words);
    if (hello.ok()) {
        hello_ = std::move(hello).value();
        open(box_target(line_.guest.box, "/exec-tty"));
    } else {
        complain(hello.error().message);
        cut();
    }
    return true;
}

Result<std::string> CommandChannel::hello_of(const std::vector<std::string>& words) const {
    Json hello{{"command", words}, {"env", env_}, {"tell_run", true}};
    if (terminal_) {
        hello["tty"] = true;
        if (!term_.empty()) hello["term"] = term_;
        if (rows_ > 0) hello["rows"] = rows_;
        if (columns_ > 0) hello["cols"] = columns_;
    } else {
        hello["errors"] = "separate";
    }
    return dump_json(hello);
}

std::string CommandChannel::next_text() {
    if (!std::exchange(resized_, false)) return "";
    return Json{{"resize", {{"rows", rows_}, {"cols", columns_}}}}.dump();
}

std::pair<size_t, bool> CommandChannel::part(std::string_view frame) {
    if (terminal_ || frame.empty()) return {0, false};
    return {1, frame.front() == 2};
}

void CommandChannel::on_text(const std::string& text) {
    const Json said = parse_json(text);
    if (const std::string run = text_of(said, "run_id"); !run.empty()) {
        run_ = run;
        return lost_ ? hang_up() : void();
    }
    for (const char* key : {"error", "error_message"}) {
        if (const std::string sentence = text_of(said, key); !sentence.empty()) complain(sentence);
    }
    if (said.is_object() && said.contains("exit_code")) status_ = static_cast<int>(integer_of(said, "exit_code"));
    signal_ = text_of(said, "signal");
    finish();
}

void CommandChannel::on_broken(const std::string& why) {
    complain("the daemon broke off: " + why);
}

void CommandChannel::on_lost() {
    lost_ = true;
    if (!is_open()) return cut();
    if (!run_.empty()) hang_up();
}

// As a modem does, or as a pipe breaks.
void CommandChannel::hang_up() {
    send_signal(terminal_ ? "HUP" : "PIPE", kCancelAfterMs);
}

// On a connection of its own: behind the input it would wait for a command that reads none.
void CommandChannel::send_signal(const std::string& name, int cancel_after_ms) {
    if (run_.empty()) return;
    Json body{{"signal", name}};
    if (cancel_after_ms > 0) body["cancel_after"] = cancel_after_ms;
    const std::string target = box_target(line_.guest.box, "/runs/" + percent_encode(run_) + "/signal");
    const auto sent = Api(line_.guest.endpoint).call("POST", target, body);
    if (!sent.ok() && cancel_after_ms > 0) cut();  // it has ended, or nothing can be done
}

void CommandChannel::say_end() {
    if (signal_.empty()) {
        ssh_channel_request_send_exit_status(channel_, status_);
    } else {
        ssh_channel_request_send_exit_signal(channel_, signal_.c_str(), 0, "", "");
    }
}

}  // namespace hutch::client
