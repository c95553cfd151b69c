#pragma once

#include <string>
#include <string_view>

#include "netns/nft_message.h"

namespace hutch::netns {

/// What a packet's flow is known by beside its destination.
enum class FlowKind { kPort, kIcmp };

/// A rule of nf_tables: what a packet is asked, in this order, until something does not fit, and what becomes of it.
///     NftRule().to(gateway).udp(53).accept()
class NftRule {
  public:
    NftRule();

    NftRule& into(const std::string& link);    ///< that it leaves by
    NftRule& out_of(const std::string& link);  ///< that it came by
    NftRule& ipv4();
    NftRule& to(Ipv4 address);
    NftRule& from(Ipv4 address);
    NftRule& to_any_of(const std::string& set);
    NftRule& from_any_of(const std::string& set);
    NftRule& to_none_of(const std::string& set);
    NftRule& from_none_of(const std::string& set);
    NftRule& udp(uint16_t port);  ///< it goes to
    NftRule& tcp(uint16_t port);
    NftRule& tcp();
    NftRule& tcp_beginning();  ///< SYN without ACK
    NftRule& tcp_going_on();   ///< anything but that
    NftRule& icmp(uint8_t type);
    /// More than so many packets in a second, after the first `burst`.
    NftRule& more_than(uint64_t packets, uint32_t burst);
    NftRule& count(const std::string& counter);
    /// That its flow (destination, protocol, and port or kind of ICMP) is none of the set, which it comes into, and
    /// that no more such packets come than kTold in a second: then it is told of (refused_packets.h). At the beginning.
    NftRule& tell_once(const std::string& flows, FlowKind kind);

    /// Sets the time to live to 1, of a packet that is IPv4 and tcp().
    NftRule& end_at_next_host();

    NftRule& accept();
    NftRule& drop();
    NftRule& go_to(const std::string& chain);

    /// The attributes of its expressions, for a message of NEWRULE.
    [[nodiscard]] std::string_view expressions() const;

    /// Of tell_once, in a second and at once.
    static constexpr uint64_t kTold = 5;
    static constexpr uint32_t kToldAtOnce = 20;

  private:
    template <typename Body>
    NftRule& expression(const char* name, Body body);
    NftRule& load(uint32_t meta, uint32_t into = NFT_REG_1);
    NftRule& load(uint32_t base, uint32_t offset, uint32_t length, uint32_t into = NFT_REG_1);
    NftRule& compare(uint32_t operation, std::string_view with);
    NftRule& limit(uint64_t packets, uint32_t burst, uint32_t flags);
    NftRule& look_up(const std::string& set, uint32_t flags);
    NftRule& address(uint32_t offset);
    NftRule& protocol(uint8_t number);
    NftRule& tcp_flags(uint32_t operation);
    NftRule& verdict(int code, const std::string& chain = "");

    NftMessage message_;  ///< of the expressions alone
};

}  // namespace hutch::netns
