#pragma once

#include <string>
#include <string_view>

#include "netns/nft_message.h"

namespace hutch::netns {

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
    NftRule& tcp_beginning();  ///< SYN without ACK
    NftRule& tcp_going_on();   ///< anything but that
    NftRule& icmp(uint8_t type);
    /// More than so many packets in a second, after the first `burst`.
    NftRule& more_than(uint64_t packets, uint32_t burst);
    NftRule& count(const std::string& counter);

    NftRule& accept();
    NftRule& drop();
    NftRule& go_to(const std::string& chain);

    /// The attributes of its expressions, for a message of NEWRULE.
    [[nodiscard]] std::string_view expressions() const;

  private:
    template <typename Body>
    NftRule& expression(const char* name, Body body);
    NftRule& load(uint32_t meta);
    NftRule& load(uint32_t base, uint32_t offset, uint32_t length);
    NftRule& compare(uint32_t operation, std::string_view with);
    NftRule& look_up(const std::string& set, uint32_t flags);
    NftRule& address(uint32_t offset);
    NftRule& protocol(uint8_t number);
    NftRule& tcp_flags(uint32_t operation);
    NftRule& verdict(int code, const std::string& chain = "");

    NftMessage message_;  ///< of the expressions alone
};

}  // namespace hutch::netns
