#pragma once

#include <optional>
#include <vector>

#include "client/api.h"
#include "client/ssh/channel.h"

namespace hutch::client {

/// A "session" channel: a command, a shell or a subsystem in the box, by the call exec-tty.
///
/// The command is its guest's: one that leaves hangs up, and what has not ended soon after is ended. What a shell left
/// in the background by then goes on, as after any command.
class CommandChannel final : public Channel {
  public:
    CommandChannel(const Line& line, ssh_channel channel);

  private:
    void on_open() override { say(hello_); }
    void on_refused(const std::string& why) override { complain(why); }
    void on_text(const std::string& text) override;
    void on_broken(const std::string& why) override;
    void on_lost() override;
    void say_end() override;
    std::string next_text() override;
    std::pair<size_t, bool> part(std::string_view frame) override;

    bool set_terminal(const char* term, int columns, int rows);
    void resize(int columns, int rows);
    bool add_variable(const char* name, const char* value);
    /// Whether there may be such a command here; why the daemon does not start it is told to the guest as its errors.
    bool start(const std::vector<std::string>& words);
    [[nodiscard]] Result<std::string> hello_of(const std::vector<std::string>& words) const;
    void hang_up();
    void send_signal(const std::string& name, int cancel_after_ms);

    bool started_ = false;
    bool terminal_ = false;
    bool resized_ = false;
    std::string hello_;  ///< to the daemon
    std::string term_;
    int rows_ = 0, columns_ = 0;
    Json env_ = Json::object();
    size_t env_bytes_ = 0;
    std::string run_;  ///< its id, once that is told
    bool lost_ = false;
    int status_ = 255;
    std::string signal_;  ///< that ended it
};

}  // namespace hutch::client
