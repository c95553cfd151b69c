#include "client/ssh/port_channel.h"

#include "client/api.h"

namespace hutch::client {

bool is_box_itself(const std::string& host, const Guest& guest) {
    for (const std::string& name : {std::string("localhost"), std::string("127.0.0.1"), std::string("::1")}) {
        if (host == name) return true;
    }
    return host == guest.box || host == guest.name;
}

void PortChannel::dial(int port) {
    open(box_target(line_.guest.box, "/port-session?port=" + std::to_string(port)));
}

// ssh -v shows it.
void PortChannel::on_refused(const std::string& why) {
    ssh_send_debug(line_.session, why.c_str(), 1);
}

// The daemon closes when it has heard the same of the guest.
void PortChannel::on_text(const std::string& text) {
    if (flag_of(parse_json(text), "eof")) ssh_channel_send_eof(channel_);
}

}  // namespace hutch::client
