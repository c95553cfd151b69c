#include "daemon/customer_limits.h"

#include <fmt/format.h>

#include <algorithm>

namespace hutch::daemon {
namespace {

struct Words {
    const char* name;
    const char* option;  ///< of `hutch key limit`
    const char* what;
    const char* advice;
    bool bytes = false;
};

const Words& words_of(Resource resource) {
    static constexpr std::array<Words, kAllResources.size()> kWords{{
        {"boxes", "boxes", "boxes", "delete some"},
        {"commands", "commands", "commands under way", "wait for one to end, or cancel one"},
        {"memory_bytes", "memory", "memory for the sizes of awake boxes", "pause or delete some", true},
        {"disk_bytes", "disk", "disk for boxes, snapshots and own images", "delete some, or files in them", true},
        {"snapshots", "snapshots", "snapshots", "delete some"},
        {"connections", "connections", "connections", "close some"},
        {"followers", "followers", "followers of events", "end one"},
        {"model_tokens", "model-tokens", "tokens of models today", "wait for the next day (UTC)"},
        {"preview_connections", "preview-connections", "connections to public URLs", "close some"},
        {"schedules", "schedules", "schedules", "delete some"},
    }};
    return kWords[static_cast<size_t>(resource)];
}

constexpr const char* kNesting = "nesting";  ///< among the limits in the records: 1 where it is allowed, else 0
constexpr const char* kPull = "pull";        ///< the same

std::string amount_text(int64_t amount, bool bytes) {
    constexpr int64_t kMiB = 1 << 20;
    if (!bytes) return std::to_string(amount);
    if (amount < 1024 * kMiB) return fmt::format("{} MiB", (amount + kMiB - 1) / kMiB);
    return fmt::format("{:.1f} GiB", static_cast<double>(amount) / static_cast<double>(1024 * kMiB));
}

}  // namespace

const char* name_of(Resource resource) {
    return words_of(resource).name;
}

CustomerLimits::Limits default_limits(int64_t host_memory, int64_t store) {
    CustomerLimits::Limits limits;
    const auto set = [&limits](Resource resource, int64_t limit) {
        if (limit > 0) limits[static_cast<size_t>(resource)] = limit;
    };
    set(Resource::kBoxes, 100);
    set(Resource::kCommands, 500);
    set(Resource::kMemory, 4 * host_memory);  // boxes rarely use the whole of their size
    set(Resource::kDisk, store / 2);
    set(Resource::kSnapshots, 500);
    set(Resource::kConnections, 500);
    set(Resource::kFollowers, 20);
    set(Resource::kPreviewConnections, 2000);
    set(Resource::kSchedules, 200);
    return limits;
}

Result<CustomerLimits> CustomerLimits::load(Records& records, const Limits& defaults, bool nesting, bool pull) {
    CustomerLimits limits(records, defaults, nesting, pull);
    for (const LimitRecord& record : TRY(records.limits())) {
        if (record.resource == kNesting) limits.set_nesting_[record.customer] = record.limit != 0;
        if (record.resource == kPull) limits.set_pull_[record.customer] = record.limit != 0;
        for (const Resource resource : kAllResources) {
            if (record.resource == name_of(resource)) limits.set_[record.customer][resource] = record.limit;
        }
    }
    return limits;
}

std::optional<int64_t> CustomerLimits::limit(const std::string& customer, Resource resource) const {
    if (customer == kLocalCustomer) return std::nullopt;
    if (const auto own = set_.find(customer); own != set_.end()) {
        const auto found = own->second.find(resource);
        if (found != own->second.end()) return found->second == 0 ? std::nullopt : std::optional(found->second);
    }
    return defaults_[static_cast<size_t>(resource)];
}

int64_t CustomerLimits::used(const std::string& customer, Resource resource) const {
    const auto held = book_->find(customer);
    int64_t sum = held == book_->end() ? 0 : held->second[static_cast<size_t>(resource)];
    for (const auto& [measured, measure] : measures_) {
        if (measured == resource) sum += measure(customer);
    }
    return sum;
}

int64_t CustomerLimits::used_by_all(Resource resource) const {
    int64_t sum = 0;
    for (const auto& [customer, counts] : *book_) sum += counts[static_cast<size_t>(resource)];
    return sum;
}

bool CustomerLimits::may_nest(const std::string& customer) const {
    const auto set = set_nesting_.find(customer);
    return set == set_nesting_.end() ? nesting_ : set->second;
}

Result<void> CustomerLimits::check_nesting(const std::string& customer) const {
    if (may_nest(customer)) return {};
    const std::string how = customer == kLocalCustomer
                                ? "set allow_nesting = true in the configuration of hutchd"
                                : "ask the host's operator for it (hutch key limit " + customer + " --nesting yes)";
    return Error{ErrorKind::kForbidden, 0,
                 "nesting: is not allowed to customer " + customer + "; " + how +
                     ", or leave it out (set it to false where it comes with a snapshot or a fork)"};
}

bool CustomerLimits::may_pull(const std::string& customer) const {
    if (customer == kLocalCustomer) return true;
    const auto set = set_pull_.find(customer);
    return set == set_pull_.end() ? pull_ : set->second;
}

Result<void> CustomerLimits::check_pull(const std::string& customer) const {
    if (may_pull(customer)) return {};
    return Error{ErrorKind::kForbidden, 0,
                 "images of registries are not allowed to customer " + customer +
                     "; ask the host's operator for it (hutch key limit " + customer + " --pull yes)"};
}

Task<Result<void>> CustomerLimits::set(std::string customer, std::vector<Setting> settings, std::optional<bool> nesting,
                                       std::optional<bool> pull) {
    const auto write = [&]() -> Result<void> {
        for (const auto& [resource, limit] : settings) TRY(records_->put_limit({customer, name_of(resource), limit}));
        if (nesting) TRY(records_->put_limit({customer, kNesting, *nesting ? 1 : 0}));
        if (pull) TRY(records_->put_limit({customer, kPull, *pull ? 1 : 0}));
        return {};
    };
    const auto follow = [&] {
        for (const auto& [resource, limit] : settings) set_[customer][resource] = limit;
        if (nesting) set_nesting_[customer] = *nesting;
        if (pull) set_pull_[customer] = *pull;
        if (changed_) changed_();
    };
    co_return co_await records_->durably(write, follow);
}

void CustomerLimits::add_measure(Resource resource, Measure measure) {
    measures_.emplace_back(resource, std::move(measure));
}

Result<void> CustomerLimits::check(const std::string& customer, Resource resource, int64_t amount) const {
    const auto most = limit(customer, resource);
    if (!most) return {};
    const int64_t held = used(customer, resource);
    if (amount <= *most - held) return {};
    const Words& words = words_of(resource);
    const std::string more =
        amount == 1 && !words.bytes ? "" : fmt::format(", and {} more asked for", amount_text(amount, words.bytes));
    return Error{ErrorKind::kLimit, 0,
                 fmt::format("{}: {} of {} ({}) in use{}; {}, or ask the host's operator for more "
                             "(hutch key limit {} --{} N)",
                             words.name, amount_text(held, words.bytes), amount_text(*most, words.bytes), words.what,
                             more, words.advice, customer, words.option)};
}

Result<CustomerLimits::Hold> CustomerLimits::take(const std::string& customer, Resource resource, int64_t amount) {
    TRY(check(customer, resource, amount));
    return note(customer, resource, amount);
}

CustomerLimits::Hold CustomerLimits::note(const std::string& customer, Resource resource, int64_t amount) {
    return {book_, customer, resource, amount};
}

CustomerLimits::Hold::Hold(std::shared_ptr<Book> book, std::string customer, Resource resource, int64_t amount)
    : book_(std::move(book)), customer_(std::move(customer)), resource_(resource), amount_(amount) {
    (*book_)[customer_][static_cast<size_t>(resource_)] += amount_;
}

CustomerLimits::Hold& CustomerLimits::Hold::operator=(Hold&& other) noexcept {
    if (this == &other) return *this;
    let_go();
    book_ = std::move(other.book_);
    customer_ = std::move(other.customer_);
    resource_ = other.resource_;
    amount_ = other.amount_;
    return *this;
}

void CustomerLimits::Hold::let_go() {
    const auto book = std::exchange(book_, nullptr);
    if (!book) return;
    const auto found = book->find(customer_);
    found->second[static_cast<size_t>(resource_)] -= amount_;
    if (std::all_of(found->second.begin(), found->second.end(), [](int64_t count) { return count == 0; })) {
        book->erase(found);
    }
}

}  // namespace hutch::daemon
