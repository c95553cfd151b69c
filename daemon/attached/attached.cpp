#include "daemon/attached/attached.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "daemon/log.h"
#include "daemon/run/collector.h"
#include "daemon/wire/attached_header.h"

namespace hutch::daemon {
namespace {

constexpr const char* kOwnFile = "/usr/local/share/ca-certificates/hutch-attached-headers.crt";
constexpr const char* kBundle = "/usr/local/share/hutch/authorities.pem";

constexpr std::chrono::seconds kTrustPatience{30};  // its programs are the box's own

// Of the places where distributions keep their authorities, the first that is there; with the file of its own beside
// them, from where update-ca-certificates(8) and its kin take it again. What an earlier authority has left, of the box
// that these files are copied from, goes. $AUTHORITY and $HASH are given.
constexpr const char* kTrust = R"(
set -eu
own=/usr/local/share/ca-certificates/hutch-attached-headers.crt
link=/usr/local/share/hutch/authorities.pem
bundle=
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    if [ -f "$file" ]; then bundle=$file; break; fi
done
mkdir -p "${own%/*}" "${link%/*}" /etc/ssl/certs
if [ -z "$bundle" ]; then
    bundle=/etc/ssl/certs/ca-certificates.crt
    : > "$bundle"
fi
old=
if [ -f "$own" ]; then old=$(cat "$own"); fi
all=$(cat "$bundle")
case $all in
*"$AUTHORITY"*) ;;
*)
    if [ -n "$old" ]; then
        case $all in *"$old"*) printf '%s%s\n' "${all%%"$old"*}" "${all#*"$old"}" > "$bundle" ;; esac
    fi
    printf '\n%s\n' "$AUTHORITY" >> "$bundle"
    ;;
esac
if [ "$old" != "$AUTHORITY" ]; then printf '%s\n' "$AUTHORITY" > "$own"; fi
chmod 644 "$own"
ln -sf "$own" "/etc/ssl/certs/$HASH.0"
ln -sf "$bundle" "$link"
if [ -d /etc/pki/ca-trust/source/anchors ]; then cp "$own" /etc/pki/ca-trust/source/anchors/; fi
if [ "$old" != "$AUTHORITY" ] && command -v keytool > /dev/null; then
    keytool -delete -cacerts -storepass changeit -alias hutch-attached-headers > /dev/null 2>&1 || true
    keytool -importcert -noprompt -cacerts -storepass changeit -alias hutch-attached-headers -file "$own"
fi
)";

HeaderRules merged(HeaderRules own, const HeaderRules& shared) {
    for (const auto& [pattern, headers] : shared) {
        Pairs& mine = own[pattern];
        for (const auto& [name, value] : headers) {
            const auto same = [&name = name](const auto& header) { return lower(header.first) == lower(name); };
            if (std::none_of(mine.begin(), mine.end(), same)) mine.emplace_back(name, value);
        }
    }
    return own;
}

std::string trimmed_end(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

}  // namespace

Result<void> Attached::check(const std::string& field, const HeaderRules& rules) {
    size_t bytes = 0;
    if (rules.size() > kMostPatterns) return invalid(field + ": at most 100 patterns");
    for (const auto& [pattern, headers] : rules) {
        TRY_IN(field, check_host_pattern(pattern));
        const std::string there = field + ": " + pattern;
        if (headers.empty()) return invalid(there + ": names no header; leave it out");
        if (headers.size() > kMostHeaders) return invalid(there + ": at most 20 headers");
        std::set<std::string> names;
        for (const auto& [name, value] : headers) {
            TRY_IN(there, check_header(name, value));
            if (!names.insert(lower(name)).second) return invalid(there + ": " + name + ": is there twice");
            bytes += pattern.size() + name.size() + value.size();
        }
    }
    if (bytes > kMostBytes) return invalid(field + ": longer than 64 KiB together");
    return {};
}

const Pairs* headers_for(const HeaderRules& rules, const std::string& host) {
    const Pairs* best = nullptr;
    size_t longest = 0;
    for (const auto& [pattern, headers] : rules) {
        if (!matches_host(pattern, host)) continue;
        const size_t weight = pattern == host ? SIZE_MAX : pattern.size();
        if (best != nullptr && weight <= longest) continue;
        best = &headers;
        longest = weight;
    }
    return best;
}

Pairs Attached::environment() {
    Pairs variables{{"NODE_EXTRA_CA_CERTS", kOwnFile}};
    for (const char* name : {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",
                             "CARGO_HTTP_CAINFO"}) {
        variables.emplace_back(name, kBundle);
    }
    return variables;
}

Result<void> Attached::publish(const Box& box, const AttachedRecord& record, const HeaderRules& shared) {
    auto found = std::make_shared<Found>();
    found->box = box.record.id;
    found->rules = merged(record.headers, shared);
    if (record.active) found->authority = TRY(Authority::open({record.key, record.certificate}));
    const netns::Ipv4 address = box.alive() ? box.life().address : netns::Ipv4{};
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(found_, [&](const auto& entry) {
            return entry.second->box == box.record.id || !boxes_.find_of_any(entry.second->box).ok();
        });
        if (record.active && box.alive()) found_[address] = std::move(found);
    }
    if (changed_ && box.alive()) changed_(address);
    return {};
}

std::shared_ptr<const Attached::Found> Attached::find(netns::Ipv4 box) const {
    const std::lock_guard lock(mutex_);
    const auto found = found_.find(box);
    return found == found_.end() ? nullptr : found->second;
}

Result<void> Attached::load() {
    for (const auto& box : boxes_.list()) {
        if (box->alive() && box->record.attaches) begin(*box);
    }
    return {};
}

// Whatever fails, it does not get the headers of who had its address.
void Attached::begin(const Box& box) {
    if (box.alive()) {
        const std::lock_guard lock(mutex_);
        found_.erase(box.life().address);
    }
    if (!box.record.attaches) return;
    const auto told = [&]() -> Result<void> {
        const auto record = TRY(boxes_.records().attached(box.record.id));
        const HeaderRules shared = TRY(boxes_.records().headers_of(box.record.customer));
        return publish(box, record.value_or(AttachedRecord{.box = box.record.id}), shared);
    }();
    if (!told.ok()) log_error("box {}: its attached headers: {}", box.record.id, told.error().message);
}

Result<HeaderRules> Attached::of(const Box& box) const {
    const auto record = TRY(boxes_.records().attached(box.record.id));
    return record ? record->headers : HeaderRules();
}

Result<HeaderRules> Attached::of_customer(const std::string& customer) const {
    return boxes_.records().headers_of(customer);
}

// Nobody else changes the rules of `whose` before what this answers is let go.
Task<std::shared_ptr<void>> Attached::alone(std::string whose) {
    while (changing_->whose.contains(whose)) {
        co_await changing_->one_less.wait();
    }
    changing_->whose.insert(whose);
    co_return std::shared_ptr<void>(nullptr, [changing = changing_, whose](void*) {
        changing->whose.erase(whose);
        changing->one_less.notify();
    });
}

Task<Result<HeaderRules>> Attached::change(std::shared_ptr<Box> box, Next next) {
    const auto turn = co_await alone(box->record.id);
    CO_TRY_LET(const HeaderRules shared, boxes_.records().headers_of(box->record.customer));
    CO_TRY_LET(const auto known, boxes_.records().attached(box->record.id));
    const AttachedRecord old = known.value_or(AttachedRecord{.box = box->record.id});
    AttachedRecord wanted = old;
    CO_TRY_LET(wanted.headers, next(old.headers));
    wanted.active = !wanted.headers.empty() || !shared.empty();
    if (!known && !wanted.active) co_return wanted.headers;
    if (wanted.key.empty()) {
        CO_TRY_LET(AuthorityFiles made, make_authority("Hutch box " + box->record.id));
        wanted.key = std::move(made.key);
        wanted.certificate = std::move(made.certificate);
    }
    // Trusted and published first: from the moment that it is relayed, all is there, and a daemon that is killed before
    // leaves a box that trusts what nobody has the key of any more. One that is not alive does so at its next start.
    if (wanted.active && !old.active && box->alive()) co_await make_trusted(box, wanted.certificate);
    CO_TRY(publish(*box, wanted, shared));
    const auto kept = co_await boxes_.set_attached(box, wanted, old);
    if (!kept.ok()) (void)publish(*box, old, shared);
    CO_TRY(kept);
    co_return wanted.headers;
}

Task<Result<HeaderRules>> Attached::set(std::shared_ptr<Box> box, Next next) {
    co_return co_await change(box, std::move(next));
}

Task<Result<HeaderRules>> Attached::set_for_customer(std::string customer, Next next) {
    const auto turn = co_await alone("customer " + customer);
    Records& records = boxes_.records();
    CO_TRY_LET(HeaderRules now, records.headers_of(customer));
    CO_TRY_LET(const HeaderRules rules, next(std::move(now)));
    std::function<Result<void>()> work = [&records, customer, rules] { return records.put_headers(customer, rules); };
    CO_TRY(co_await records.durably(std::move(work)));
    co_await follow(customer);
    co_return rules;
}

// What fails for one box is in its log, and holds from its next start on.
Task<> Attached::follow(std::string customer) {
    for (const auto& box : boxes_.list()) {
        if (box->record.customer != customer || !boxes_.find_of_any(box->record.id).ok()) continue;
        Next as_it_has = [](HeaderRules now) { return Result<HeaderRules>(std::move(now)); };
        const auto changed = co_await change(box, std::move(as_it_has));
        if (!changed.ok()) boxes_.note(*box, "error", "attached headers: " + changed.error().message);
    }
}

Task<> Attached::renew_trust(std::shared_ptr<Box> box) {
    const auto record = boxes_.records().attached(box->record.id);
    if (record.ok() && record.value()) co_await make_trusted(box, record.value()->certificate);
}

Task<> Attached::make_trusted(std::shared_ptr<Box> box, std::string certificate) {
    const Box::Use use(box);
    const auto work = [&]() -> Task<Result<void>> {
        CO_TRY(co_await boxes_.wake(box));
        Command command;
        command.argv = {"sh", "-c", kTrust};
        command.prompt = "trust the authority of attached headers";
        command.work_dir = "/";
        command.timeout = kTrustPatience;
        CO_TRY_LET(std::string hash, subject_hash(certificate));
        command.env = {{"AUTHORITY", trimmed_end(certificate)}, {"HASH", std::move(hash)}};
        CO_TRY_LET(command.user, find_user("root"));
        command.recorded = false;
        UniqueFd nothing;
        CO_TRY_LET(const auto run, co_await runs_.start(box, std::move(command), std::move(nothing)));
        Collector out{nullptr};
        Collector err{nullptr};
        CO_TRY_LET(const Outcome outcome, co_await run->follow(out.sink(), err.sink()));
        if (outcome.exit_code != 0) co_return Error{ErrorKind::kConflict, 0, trimmed_end(out.kept + err.kept)};
        co_return Result<void>();
    };
    const auto done = co_await work();
    if (!done.ok()) {
        boxes_.note(*box, "error", "attached headers: the box does not trust their authority: " + done.error().message);
    }
}

}  // namespace hutch::daemon
