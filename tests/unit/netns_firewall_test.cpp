#include <gtest/gtest.h>

#include "netns/firewall.h"
#include "netns/host.h"

namespace hutch::netns {
namespace {

TEST(Ruleset, NamesOnlyWhatIsConfigured) {
    Config config;
    config.table = "mine";
    config.link_prefix = "box";
    config.range = parse_prefix("10.9.0.0/16").value();
    const std::string text = ruleset(config);
    EXPECT_EQ(text.find('$'), std::string::npos) << text;
    EXPECT_EQ(text.find("hutch"), std::string::npos) << text;
    EXPECT_NE(text.find("table inet mine\ndelete table inet mine\ntable inet mine {"), std::string::npos);
    EXPECT_NE(text.find("iifname \"box-*\""), std::string::npos);
    EXPECT_NE(text.find("ip saddr 10.9.0.0/16 oifname != \"box-*\" masquerade"), std::string::npos);
    EXPECT_NE(text.find("ip daddr 10.9.0.1 udp dport 53 accept"), std::string::npos);
}

TEST(Intruders, AChainTellsWhoseItIs) {
    const auto owner = owner_of_chain(R"(table inet etest {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 198.18.0.0/16 oifname != "etest-*" masquerade
	}
}
)");
    ASSERT_TRUE(owner);
    EXPECT_EQ(to_string(owner->first), "198.18.0.0/16");
    EXPECT_EQ(owner->second, "etest");
    EXPECT_FALSE(owner_of_chain("ip saddr 10.0.0.0/8 oifname != \"eth0\" masquerade"));
    EXPECT_FALSE(owner_of_chain(""));
}

TEST(ForwardDrops, FindsForeignChainsThatDropByDefault) {
    const std::string listing = R"(table ip filter {
	chain INPUT {
		type filter hook input priority filter; policy drop;
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER {
	}
}
table inet mine {
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
	}
}
)";
    EXPECT_EQ(find_forward_drops(listing, "mine"), std::vector<std::string>{"ip filter FORWARD"});
    EXPECT_TRUE(find_forward_drops("", "mine").empty());
}

}  // namespace
}  // namespace hutch::netns
