#pragma once

#include "client/ssh/channel.h"

namespace hutch::client {

/// A "direct-tcpip" channel: a connection to a port of the box's own loopback, by the call port-session.
class PortChannel final : public Channel {
  public:
    using Channel::Channel;
    /// Where nothing listens the channel ends at once: by when that is known, libssh has answered the guest.
    void dial(int port);

  private:
    void on_refused(const std::string& why) override;
    void on_text(const std::string& text) override;
    void on_broken(const std::string&) override {}
    void on_lost() override { cut(); }
    void say_end() override {}
};

/// Whether a guest means the box itself by that.
bool is_box_itself(const std::string& host, const Guest& guest);

}  // namespace hutch::client
