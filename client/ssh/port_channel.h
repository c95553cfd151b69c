#pragma once

#include "client/ssh/channel.h"

namespace hutch::client {

/// A "direct-tcpip" channel: a connection to a port of the box's own loopback, by the call port-session.
class PortChannel final : public Channel {
  public:
    using Channel::Channel;
    /// Whether something listens there; the error says what is wrong.
    Result<void> dial(int port);

  private:
    void on_text(const std::string& text) override;
    void on_broken(const std::string&) override {}
    void on_lost() override { cut(); }
    void say_end() override {}
};

/// Whether a guest means the box itself by that.
bool is_box_itself(const std::string& host, const Guest& guest);

}  // namespace hutch::client
