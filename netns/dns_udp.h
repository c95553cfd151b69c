#pragma once

#include <list>
#include <optional>
#include <string>
#include <unordered_map>

#include "netns/dns_message.h"
#include "netns/dns_socket.h"
#include "netns/poller.h"

namespace hutch::netns {

/// DNS over UDP. Each query goes out from a socket of its own with an id of its own, so an answer counts only from the
/// server's address to a random port with a random id and the same question: what a spoofer would have to guess.
class DnsUdp {
  public:
    static constexpr size_t kMaxPending = 1024;  ///< each is a file descriptor
    static constexpr unsigned kMaxPerBox = 64;

    DnsUdp(Poller& poller, Upstreams& upstreams, const DnsClients& clients)
        : poller_(poller), upstreams_(upstreams), clients_(clients) {}

    Result<void> listen(uint16_t port);
    /// `fd` of the poller is ready. False when it is not one of ours.
    bool on_ready(int fd, Clock::time_point now);
    /// Whose time is up is sent to the next server, or refused.
    void expire(Clock::time_point now);
    [[nodiscard]] std::optional<Clock::time_point> deadline() const;

  private:
    struct Pending {
        sockaddr_in client;
        uint16_t client_id;
        std::string asked;  ///< by the box
        std::string query;  ///< what is asked for it, with our id
        uint16_t id = 0;
        size_t question_size = 0;
        std::optional<std::string> name{};  ///< of a box that may ask for some
        size_t turn = 0;                    ///< which server has it now
        size_t last_turn = 0;               ///< and where to give up
        UniqueFd socket{};
        Clock::time_point deadline{};

        [[nodiscard]] std::string_view question() const;
    };
    using Entry = std::list<Pending>::iterator;

    void read_queries(Clock::time_point now);
    void accept_query(std::string_view packet, const sockaddr_in& client, Clock::time_point now);
    /// What is to be asked for a box; nothing when it is answered.
    std::optional<Pending> judge(const DnsQuery& query, std::string_view packet, const sockaddr_in& client);
    /// What a box that may ask for some names is told of a server's answer; empty: nothing, the server is to be passed
    /// over.
    std::string told_of(const Pending& pending, std::string_view packet);
    /// Refuses the query of the box that has most under way which waits longest. False when `box` has most.
    bool make_room_for(Ipv4 box);
    void read_answers(Entry entry, Clock::time_point now);
    /// To the server of this turn or the first after it that a packet can be sent to; else the entry is refused.
    void forward(Entry entry, Clock::time_point now);
    bool send_query(Entry entry, Clock::time_point now);
    void next_server(Entry entry, Clock::time_point now);
    void close_socket(Entry entry);
    void answer(const sockaddr_in& client, std::string_view packet);
    void finish(Entry entry, std::string answer);

    Poller& poller_;
    Upstreams& upstreams_;
    DnsClients clients_;
    UniqueFd socket_;
    std::list<Pending> pending_;  ///< by deadline: every try lasts equally long
    std::unordered_map<int, Entry> by_socket_;
    SourceLimit limit_{kMaxPerBox};
};

}  // namespace hutch::netns
