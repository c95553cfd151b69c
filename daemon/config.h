#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace hutch::daemon {

constexpr uint16_t kModelPort = 8733;  ///< of the gateway address, where boxes reach the models' gateway

/// Who answers for models whose name begins with "NAME/".
struct ModelProvider {
    std::string name;
    std::string url;         ///< of its API, without the version that its paths begin with
    std::string key_file{};  ///< with the key of boxes that have none of their own nor of their customer
};

/// Bytes that bodies of requests and answers may take at a time: an eighth of the host's memory, 1 to 4 GiB.
uint64_t default_memory_budget();
constexpr uint64_t kLeastMemoryBudget = 64 << 20;  ///< bytes

/// What an operator may set, by option or in /etc/hutch/hutchd.toml.
struct Config {
    std::string name = "hutch";  ///< of cgroups, nftables table and links: another name lets two daemons live together
    std::string state_dir = "/var/lib/hutch";
    uint64_t store_size =
        0;  ///< bytes of the btrfs in a file that holds the store; 0: a directory does, if no file does
    std::string run_dir = "/run/hutch";
    std::string socket = "/run/hutch/hutch.sock";
    std::string socket_group = "hutch";  ///< its members may use the socket; a group that does not exist: root only
    std::string listen;                  ///< "127.0.0.1:8080", or empty for no TCP
    std::string api_key_file;            ///< one key per line, each the host's own customer's
    std::string tls_certificate;         ///< PEM files, of the TCP port; empty for one in clear
    std::string tls_key;
    std::string preview_listen;                ///< "0.0.0.0:443", or empty for no public URLs
    std::string preview_domain = "localhost";  ///< public URLs are BOX-PORT of it
    std::string preview_certificate;           ///< PEM files, of public URLs; empty for those in clear
    std::string preview_key;
    uint32_t connections_per_address = 1000;  ///< over TCP; 0: without a limit
    uint32_t requests_per_minute = 60'000;    ///< of one customer by API key; 0: without a limit
    uint32_t wrong_keys_per_minute = 60;      ///< from one address; 0: without a limit
    uint64_t memory_budget = default_memory_budget();
    std::string network = "198.18.0.0/16";
    std::string default_image = "agents";
    uint32_t pool = 8;     ///< networks, on btrfs uppers, and at most so many whole boxes kept ready
    uint32_t workers = 4;  ///< threads for blocking kernel calls
    uint32_t max_boxes = 10000;
    uint32_t idle_timeout = 1800;                   ///< seconds without work after which a box is paused; 0: never
    uint32_t reclaim_after = 10;                    ///< seconds of a pause after which the box's memory is asked back
    std::string log_format = "auto";                ///< text, json, or auto: text on a terminal, else json
    std::string github_url = "https://github.com";  ///< the one server that tokens of boxes are told to
    std::string github_api_url = "https://api.github.com";  ///< where it takes pull requests
    std::vector<ModelProvider> models = {
        {"anthropic", "https://api.anthropic.com"},  {"openai", "https://api.openai.com"},
        {"openrouter", "https://openrouter.ai/api"}, {"opencode", "https://opencode.ai/zen"},
        {"vercel", "https://ai-gateway.vercel.sh"},
    };
    std::string fleet;              ///< its name; empty for a host that stands alone
    std::string fleet_host;         ///< this host's name in it
    std::string fleet_etcd;         ///< addresses of its etcd, with commas between
    std::string fleet_listen;       ///< where the other hosts reach this one
    std::string fleet_certificate;  ///< PEM files, of this host among the others, and towards etcd
    std::string fleet_key;
    std::string fleet_ca;                        ///< whose certificates they have
    bool allow_nesting = false;                  ///< to customers of whom nothing else was said
    bool allow_pull = false;                     ///< the same: whether they may bring images of registries
    std::string default_registry = "docker.io";  ///< of references without a host
    std::string insecure_registries{};           ///< hosts, with commas between them, that are spoken to in clear
    std::string registry_authorities{};          ///< PEM file of those that may vouch for registries too; empty: none
    bool private_registries = false;             ///< whether customers' may be at loopback and private addresses
    bool private_webhooks = false;               ///< whether webhooks may go to loopback and private addresses
    double cpu_hour_usd = 0.10;                  ///< per active vCPU-hour
    double gb_month_usd = 0.10;                  ///< per 10^9 bytes of files kept for 730 hours

    [[nodiscard]] std::string store_dir() const { return state_dir + "/store"; }
    /// The file with the file system of the store, if it has one of its own.
    [[nodiscard]] std::string store_file() const { return state_dir + "/store.btrfs"; }
};

/// ADDRESS:PORT of the option `listen`.
struct Endpoint {
    std::string address;  ///< IPv4 or IPv6, without brackets
    uint16_t port = 0;
};
/// Nothing for what is none; IPv6 may stand in brackets.
std::optional<Endpoint> parse_endpoint(const std::string& text);

/// A box's size: what the wire's "size" stands for.
struct Size {
    const char* name;
    uint32_t cpus;
    uint64_t memory_bytes;
    uint64_t disk_bytes;   ///< of what the box itself writes, where the file system can enforce it
    uint64_t disk_inodes;  ///< the same; not on btrfs
};
/// Null for an unknown one. The sizes are small, medium and large.
const Size* find_size(const std::string& name);
constexpr uint32_t kPidsPerBox = 4096;
constexpr uint32_t kLongestTimeout = 365 * 24 * 3600;  ///< seconds
constexpr int64_t kLongestTtl = 3 * 24 * 3600;         ///< seconds; of ephemeral boxes

}  // namespace hutch::daemon
