#include "daemon/fleet/fleet.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <random>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/ids.h"
#include "daemon/clock.h"
#include "daemon/host_room.h"
#include "daemon/log.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

using std::chrono::seconds;

constexpr int64_t kLeaseSeconds = 15;  // without a word, after which a host is not there
constexpr seconds kHeartbeat{5};       // so that two may be lost
constexpr seconds kSilentWatch{12};    // our own heartbeat is told by it, too
constexpr seconds kTryAgain{1};        // after an error
constexpr size_t kMostImages = 200;    // that a host tells of

std::vector<std::string> members_of(const std::string& list) {
    std::vector<std::string> members;
    std::istringstream parts(list);
    for (std::string one; std::getline(parts, one, ',');) members.push_back(one);
    return members;
}

Etcd::Access access_of(const Config& config) {
    auto identity = std::make_shared<FetchIdentity>();
    identity->authority = config.fleet_ca;
    identity->certificate = config.fleet_certificate;
    identity->key = config.fleet_key;
    return {members_of(config.fleet_etcd), std::move(identity)};
}

Task<> wait_some(seconds time) {
    asio::steady_timer timer(co_await asio::this_coro::executor, time);
    co_await timer.async_wait(kAwait);
}

// "some avg10=1.23 ...": proc(5), psi.rst.
double processor_pressure() {
    const auto text = read_file_at(AT_FDCWD, "/proc/pressure/cpu");
    const size_t at = text.ok() ? text.value().find("avg10=") : std::string::npos;
    return at == std::string::npos ? 0 : std::strtod(text.value().c_str() + at + 6, nullptr);
}

}  // namespace

Result<std::unique_ptr<Fleet>> Fleet::open(const Config& config, Manager& boxes, Fetcher& fetcher) {
    auto fleet = std::make_unique<Fleet>(config, boxes, fetcher);
    fleet->store_ = TRY(boxes.records().store_id());
    const auto joined = read_file_at(AT_FDCWD, fleet->joined_file());
    if (!joined.ok() && joined.error().code != ENOENT) return joined.error();
    const std::string of = joined.ok() ? joined.value().substr(0, joined.value().find('\n')) : "";
    if (!of.empty() && of != config.fleet) {
        return Error{ErrorKind::kConflict, 0,
                     "fleet: this host is a member of \"" + of + "\"; to make it one of \"" + config.fleet +
                         "\", delete its boxes and " + fleet->joined_file()};
    }
    return fleet;
}

Fleet::Fleet(const Config& config, Manager& boxes, Fetcher& fetcher)
    : config_(config),
      boxes_(boxes),
      etcd_(boxes.executor(), fetcher, access_of(config)),
      self_(config.fleet_host),
      directory_(config.fleet),
      hosts_changed_(boxes.executor()) {}

void Fleet::start(Host host) {
    host_ = std::move(host);
    spawn_lasting(boxes_.executor(), "telling the fleet of this host", [this] { return keep_presence(); });
    spawn_lasting(boxes_.executor(), "keeping the fleet's directory", [this] { return keep_directory(); });
    spawn_lasting(boxes_.executor(), "comparing boxes with the fleet's directory", [this] { return keep_books(); });
}

bool Fleet::is_member(const std::string& name) const {
    return !name.empty() && (!read_ || directory_.members().contains(name));
}

void Fleet::note_trouble(const std::string& trouble) {
    if (trouble == trouble_) return;
    if (trouble.empty()) log_info("fleet {}: this host, {}, has the directory", config_.fleet, self_);
    if (!trouble.empty()) log_warning("fleet {}: the directory may be behind: {}", config_.fleet, trouble);
    trouble_ = trouble;
}

// --- this host is there ---

FleetLoad Fleet::load() const {
    const auto room = host_room();
    struct statvfs disk {};
    const bool measured = statvfs(config_.store_dir().c_str(), &disk) == 0;
    auto images = host_.images();
    if (images.size() > kMostImages) images.resize(kMostImages);
    return {.address = config_.fleet_listen,
            .version = HUTCH_VERSION,
            .boxes = static_cast<int64_t>(boxes_.list().size()),
            .max_boxes = config_.max_boxes,
            .cpus = static_cast<int64_t>(std::thread::hardware_concurrency()),
            .cpu_pressure = processor_pressure(),
            .memory_bytes = room.ok() ? room.value().memory_bytes : 0,
            .available_bytes = room.ok() ? room.value().available_bytes : 0,
            .disk_bytes = measured ? static_cast<int64_t>(disk.f_blocks * disk.f_frsize) : 0,
            .disk_free_bytes = measured ? static_cast<int64_t>(disk.f_bavail * disk.f_frsize) : 0,
            .images = std::move(images),
            .told_at = unix_now()};
}

// The name is this host's if nobody has it, or a host with this database.
Task<Result<void>> Fleet::join() {
    const std::string key = directory_.keys().member(self_);
    EtcdTxn txn;
    txn.absent = {key};
    txn.puts = {{key, text_of(FleetMember{false, store_})}};
    txn.otherwise_reads = {key};
    CO_TRY_LET(const EtcdOutcome outcome, co_await etcd_.commit(std::move(txn)));
    const auto member = outcome.found.empty() ? std::nullopt : Directory::member_of(outcome.found.front().value);
    joined_ = outcome.done || (member && member->store == store_);
    if (joined_) co_return Result<void>();
    co_return Error{ErrorKind::kConflict, 0,
                    "fleet_host: another host of the fleet is called \"" + self_ +
                        "\"; choose another name, or remove "
                        "that one with hutch host rm " +
                        self_};
}

// The key is put each time: so the load is told, and the watch of a host that is not cut off is never silent for long.
Task<Result<void>> Fleet::tell_presence() {
    if (lease_ == 0) {
        CO_TRY(co_await join());
        CO_TRY_LET(lease_, co_await etcd_.grant(kLeaseSeconds));
    }
    const auto alive = co_await etcd_.keep_alive(lease_);
    if (!alive.ok()) {
        if (alive.error().kind == ErrorKind::kNotFound) lease_ = 0;
        co_return alive.error();
    }
    EtcdTxn txn;
    txn.present = {directory_.keys().member(self_)};  // or it was removed, and is none until it joins again
    txn.puts = {{directory_.keys().host(self_), text_of(load()), lease_}};
    CO_TRY_LET(const EtcdOutcome outcome, co_await etcd_.commit(std::move(txn)));
    if (!outcome.done) lease_ = 0;
    co_return Result<void>();
}

Task<> Fleet::keep_presence() {
    for (;;) {
        const auto told = co_await tell_presence();
        const std::string trouble = told.ok() ? "" : told.error().message;
        if (!trouble.empty() && trouble != presence_trouble_) {
            log_warning("fleet {}: the others do not hear of this host: {}", config_.fleet, trouble);
        }
        presence_trouble_ = trouble;
        seconds wait = kHeartbeat;
        if (!told.ok()) wait = kTryAgain;
        co_await wait_some(wait);
    }
}

// --- the directory ---

Task<Result<int64_t>> Fleet::read_directory() {
    Directory fresh(config_.fleet);
    std::function<void(EtcdRow)> each = [&fresh](EtcdRow row) { fresh.put(row); };
    CO_TRY_LET(const int64_t revision, co_await etcd_.read_all(directory_.keys().all, std::move(each)));
    directory_.replace(std::move(fresh), unix_now());
    read_ = true;
    hosts_changed_.notify();
    co_return revision;
}

void Fleet::take(const EtcdEvent& event) {
    if (event.gone) {
        directory_.drop(event.row.key, unix_now());
    } else {
        directory_.put(event.row);
    }
    const std::string host = directory_.keys().host("");
    if (event.row.key.starts_with(host)) {
        given_.erase(event.row.key.substr(host.size()));
        hosts_changed_.notify();
    }
    if (event.row.key.starts_with(directory_.keys().key(""))) host_.take_keys(directory_.api_keys());
}

Task<> Fleet::keep_directory() {
    int64_t known = 0;  // all up to this revision; 0: nothing
    for (;;) {
        if (known == 0) {
            const auto read = co_await read_directory();
            if (read.ok()) known = read.value();
            Result<void> shared;
            if (read.ok()) shared = co_await share_own_keys();
            if (!read.ok()) note_trouble(read.error().message);
            if (!shared.ok()) {
                note_trouble(shared.error().message);
                known = 0;
            }
            if (known == 0) {
                co_await wait_some(kTryAgain);
                continue;
            }
            host_.take_keys(directory_.api_keys());
            note_trouble("");
            hosts_changed_.notify();
        }
        bool heard = false;
        std::function<void(const EtcdEvent&)> told = [this, &known, &heard](const EtcdEvent& event) {
            heard = true;
            take(event);
            known = std::max(known, event.row.modified);
            note_trouble("");
        };
        const auto ended = co_await etcd_.watch(directory_.keys().all, known + 1, kSilentWatch, std::move(told));
        const bool compacted = !ended.ok() && ended.error().kind == ErrorKind::kNotFound;
        // One that told nothing may be of an etcd that was made anew, and has not come so far.
        if (compacted || !heard) known = 0;
        if (compacted) continue;
        note_trouble(ended.error().message);
        co_await wait_some(kTryAgain);
    }
}

Task<Result<std::string>> Fleet::birth() {
    const std::string key = directory_.keys().birth();
    CO_TRY_LET(auto row, co_await etcd_.read(key));
    if (!row) {
        EtcdTxn txn;
        txn.absent = {key};
        txn.puts = {{key, random_id()}};
        CO_TRY(co_await etcd_.commit(std::move(txn)));
        CO_TRY_LET(row, co_await etcd_.read(key));
    }
    if (!row) co_return Etcd::unreachable("lost what was written just now");
    co_return row->value;
}

// A host brings the keys that were made on it once, on the day it joins; from then on they are the fleet's, so that one
// that was removed while the host was away does not come back with it. Of an etcd that was made anew that day is again:
// else all keys of all hosts would be gone, and a key cannot be read anywhere.
Task<Result<void>> Fleet::share_own_keys() {
    CO_TRY_LET(const std::string birth, co_await this->birth());
    const std::string joined = config_.fleet + "\n" + birth;
    const auto before = read_file_at(AT_FDCWD, joined_file());
    if (before.ok() && before.value() == joined) co_return Result<void>();
    for (const KeyRecord& key : host_.keys()) {
        const auto shared = co_await share_key(key);
        if (!shared.ok() && shared.error().kind != ErrorKind::kConflict) co_return shared;
        if (!shared.ok())
            log_warning("the API key of {} was made here, and is not the fleet's: {}", key.customer,
                        shared.error().message);
    }
    const std::string unfinished = joined_file() + ".new";
    CO_TRY_LET(const UniqueFd file, open_at(AT_FDCWD, unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    CO_TRY(write_all(file.get(), joined));
    if (fsync(file.get()) != 0 || rename(unfinished.c_str(), joined_file().c_str()) != 0) {
        co_return errno_error("making " + joined_file());
    }
    CO_TRY_LET(const int64_t revision, co_await read_directory());
    (void)revision;
    co_return Result<void>();
}

Task<Result<void>> Fleet::share_key(KeyRecord key) {
    const std::string name = directory_.keys().key(key.customer);
    EtcdTxn txn;
    txn.absent = {name};
    txn.puts = {{name, text_of(key)}};
    txn.otherwise_reads = {name};
    CO_TRY_LET(const EtcdOutcome outcome, co_await etcd_.commit(std::move(txn)));
    const bool ours = !outcome.found.empty() && outcome.found.front().value == text_of(key);
    if (outcome.done || ours) co_return Result<void>();
    co_return Error{ErrorKind::kConflict, 0,
                    "name: \"" + key.customer + "\" has a key in the fleet; remove that first"};
}

Task<Result<void>> Fleet::drop_key(std::string customer) {
    EtcdTxn txn;
    txn.removals = {directory_.keys().key(customer)};
    CO_TRY(co_await etcd_.commit(std::move(txn)));
    co_return Result<void>();
}

// --- where things are, and where they go ---

Task<Result<std::optional<FleetBox>>> Fleet::look_up(std::string customer, std::string id_or_name, bool any) {
    if (const auto known = directory_.find(customer, id_or_name, any)) co_return known;
    if (!trouble_.empty()) co_return Etcd::unreachable(trouble_);
    std::string id = id_or_name;
    const std::string name_key = directory_.keys().name(customer, id_or_name);
    CO_TRY_LET(const auto named, co_await etcd_.read(name_key));
    if (named) id = named->value;
    const std::string box_key = directory_.keys().box(customer, id);
    CO_TRY_LET(const auto row, co_await etcd_.read(box_key));
    std::optional<FleetBox> found;
    if (row) found = Directory::box_of(*row);
    co_return found;
}

Placement Fleet::choose(const std::string& image, const std::set<std::string>& tried) {
    static std::mt19937_64 numbers{std::random_device{}()};
    PlacementCall call{.image = image, .tried = tried, .given = given_, .random = [] { return numbers(); }};
    Placement placement = choose_host(directory_, call);
    if (!placement.host.empty()) ++given_[placement.host];
    return placement;
}

Task<Result<GivenCall>> Fleet::give_call(std::string customer, std::string key, std::string host,
                                         std::string instead_of) {
    constexpr int64_t kDay = 24 * 3600;
    constexpr int64_t kHour = 3600;
    if (day_lease_until_ < unix_now()) {  // one for all calls of an hour
        CO_TRY_LET(day_lease_, co_await etcd_.grant(kDay + kHour));
        day_lease_until_ = unix_now() + kHour;
    }
    const std::string row = directory_.keys().request(customer, key);
    EtcdTxn txn;
    if (instead_of.empty()) {
        txn.absent = {row};
    } else {
        txn.holding = {{row, instead_of}};
    }
    txn.puts = {{row, host, day_lease_}};
    txn.otherwise_reads = {row};
    auto outcome = co_await etcd_.commit(std::move(txn));
    if (!outcome.ok()) {
        day_lease_until_ = 0;  // an etcd that was made anew has no such lease
        co_return std::move(outcome).error();
    }
    const bool fresh = outcome->done || outcome->found.empty();
    co_return GivenCall{fresh ? host : outcome->found.front().value, fresh};
}

Task<Result<void>> Fleet::cordon(std::string host, bool cordoned) {
    const std::string key = directory_.keys().member(host);
    CO_TRY_LET(const auto row, co_await etcd_.read(key));
    const auto member = row ? Directory::member_of(row->value) : std::nullopt;
    if (!member) co_return Error{ErrorKind::kNotFound, 0, "no host of the fleet is called \"" + host + "\""};
    FleetMember changed = *member;
    changed.cordoned = cordoned;
    EtcdTxn txn;
    txn.holding = {{key, row->value}};
    txn.puts = {{key, text_of(changed)}};
    txn.otherwise_reads = {key};
    CO_TRY_LET(const EtcdOutcome outcome, co_await etcd_.commit(std::move(txn)));
    const bool so = outcome.done || (!outcome.found.empty() && outcome.found.front().value == text_of(changed));
    if (so) co_return Result<void>();
    co_return Error{ErrorKind::kConflict, 0, "host \"" + host + "\": somebody else changes it; try again"};
}

Task<Result<void>> Fleet::remove(std::string host, bool with_boxes) {
    const std::string key = directory_.keys().member(host);
    CO_TRY_LET(const auto row, co_await etcd_.read(key));
    if (!row) co_return Error{ErrorKind::kNotFound, 0, "no host of the fleet is called \"" + host + "\""};
    std::vector<FleetBox> lost;
    for (const auto& [id, box] : directory_.boxes()) {
        if (box.host == host) lost.push_back(box);
    }
    if (!lost.empty() && !with_boxes) {
        co_return Error{ErrorKind::kConflict, 0,
                        "host \"" + host + "\" has " + std::to_string(lost.size()) +
                            " boxes, which nobody would find any more; say force to give them up"};
    }
    EtcdTxn txn;
    txn.absent = {directory_.keys().host(host)};
    txn.removals = {key};
    CO_TRY_LET(const EtcdOutcome outcome, co_await etcd_.commit(std::move(txn)));
    if (!outcome.done) {
        co_return Error{ErrorKind::kConflict, 0, "host \"" + host + "\" is there; stop its hutchd first"};
    }
    for (FleetBox& box : lost) CO_TRY(co_await strike(std::move(box)));
    co_return Result<void>();
}

}  // namespace hutch::daemon
