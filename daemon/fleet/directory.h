#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/fleet/etcd.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

/// What a host tells of itself, for as long as it is there.
struct FleetLoad {
    std::string address;  ///< "10.0.0.1:7433", where the other hosts reach it
    std::string version;
    int64_t boxes = 0;
    int64_t max_boxes = 0;
    int64_t cpus = 0;
    double cpu_pressure = 0;  ///< percent of the last 10 s in which something waited for a processor
    int64_t memory_bytes = 0;
    int64_t available_bytes = 0;
    int64_t disk_bytes = 0;
    int64_t disk_free_bytes = 0;
    std::vector<std::string> images{};
    int64_t told_at = 0;  ///< Unix seconds, by its own clock
};
std::string text_of(const FleetLoad& load);

struct FleetMember {
    bool cordoned = false;
    std::string store;  ///< the id of its database: no second host goes by its name
};
std::string text_of(const FleetMember& member);

struct FleetBox {
    std::string id;
    std::string customer;
    std::string name;
    std::string host;
    int64_t created_at = 0;  ///< Unix seconds, by its host's clock
};
std::string text_of(const FleetBox& box);

std::string text_of(const KeyRecord& key);

/// The keys of a fleet in etcd, all below "/hutch/FLEET/".
struct FleetKeys {
    explicit FleetKeys(const std::string& fleet) : all("/hutch/" + fleet + "/") {}
    std::string all;
    [[nodiscard]] std::string host(const std::string& name) const { return all + "host/" + name; }
    [[nodiscard]] std::string member(const std::string& name) const { return all + "member/" + name; }
    [[nodiscard]] std::string box(const std::string& customer, const std::string& id) const {
        return all + "box/" + customer + "/" + id;
    }
    [[nodiscard]] std::string name(const std::string& customer, const std::string& name) const {
        return all + "name/" + customer + "/" + name;
    }
    [[nodiscard]] std::string request(const std::string& customer, const std::string& key) const {
        return all + "request/" + customer + "/" + key;
    }
    [[nodiscard]] std::string key(const std::string& customer) const { return all + "key/" + customer; }
    /// By which an etcd is known: one that was made anew has another.
    [[nodiscard]] std::string birth() const { return all + "birth"; }
};

/// What etcd holds of a fleet, as far as it is known here: who is there, whose the boxes are, and which keys are good.
/// No I/O.
class Directory {
  public:
    explicit Directory(const std::string& fleet) : keys_(fleet) {}

    /// A row that is there now. What is none of ours, or cannot be read, is passed by.
    void put(const EtcdRow& row);
    /// `now`: Unix seconds.
    void drop(const std::string& key, int64_t now);
    /// In place of what it was, what was read anew.
    void replace(Directory fresh, int64_t now);

    [[nodiscard]] const FleetKeys& keys() const { return keys_; }
    [[nodiscard]] const std::map<std::string, FleetLoad>& hosts() const { return hosts_; }  ///< that are there
    [[nodiscard]] const std::map<std::string, FleetMember>& members() const { return members_; }
    [[nodiscard]] const std::map<std::string, FleetBox>& boxes() const { return boxes_; }  ///< by id
    [[nodiscard]] std::vector<KeyRecord> api_keys() const;
    /// A customer's, by id or name; of any customer by id for an operator.
    [[nodiscard]] std::optional<FleetBox> find(const std::string& customer, const std::string& id_or_name,
                                               bool any) const;
    /// Of a member that is not there; nothing where that is not known.
    [[nodiscard]] std::optional<int64_t> silent_since(const std::string& host) const;

    static std::optional<FleetBox> box_of(const EtcdRow& row);
    static std::optional<FleetMember> member_of(const std::string& value);

  private:
    /// "box" and "alice/b1" of a key of ours.
    [[nodiscard]] std::optional<std::pair<std::string, std::string>> parts_of(const std::string& key) const;
    void forget_box(const std::string& id);

    FleetKeys keys_;
    std::map<std::string, FleetLoad> hosts_;
    std::map<std::string, FleetMember> members_;
    std::map<std::string, FleetBox> boxes_;
    std::map<std::pair<std::string, std::string>, std::string> names_;  ///< customer and name, to id
    std::map<std::string, KeyRecord> api_keys_;
    std::map<std::string, int64_t> silent_since_;
};

}  // namespace hutch::daemon
