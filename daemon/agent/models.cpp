#include "daemon/agent/models.h"

#include <algorithm>

#include "daemon/secret.h"

namespace hutch::daemon {
namespace {

std::string first_line(const std::string& text) {
    return text.substr(0, text.find_first_of("\r\n"));
}

}  // namespace

Result<std::map<std::string, std::string>> read_model_keys(const Config& config) {
    std::map<std::string, std::string> keys;
    for (const ModelProvider& provider : config.models) {
        if (provider.key_file.empty()) continue;
        const std::string option = provider.name + "_key_file";
        const std::string key = first_line(TRY(read_secret(option, provider.key_file)));
        if (key.empty()) return invalid(option + ": " + provider.key_file + " begins with an empty line");
        keys[provider.name] = key;
    }
    return keys;
}

Result<Models> Models::load(Manager& boxes, const Config& config) {
    Models models(boxes, config);
    models.base_url_ = "http://" + to_string(boxes.mechanisms().network.gateway()) + ":" + std::to_string(kModelPort);
    models.own_keys_ = TRY(read_model_keys(config));
    for (const ModelGrantRecord& grant : TRY(boxes.records().grants())) models.by_hash_[grant.hash] = grant;
    return models;
}

Result<std::optional<ModelAccess>> Models::open(const std::string& run, const Box& box, const AgentRecord& agent,
                                                const Harness& harness) {
    const std::string named = split_model(agent.model).provider;
    const ModelProvider* const provider = find_provider(named.empty() ? harness.provider() : named);
    if (provider == nullptr || TRY(key_for(box, provider->name)).empty()) return std::optional<ModelAccess>();
    const std::string token = new_secret("hutch-run-");
    const ModelGrantRecord grant{run, box.record.id, provider->name, secret_hash(token)};
    TRY(boxes_->records().add_grant(grant));
    by_hash_[grant.hash] = grant;
    return std::optional(ModelAccess{base_url_, token});
}

void Models::close(const std::string& run) {
    std::erase_if(by_hash_, [&run](const auto& entry) { return entry.second.run == run; });
    (void)boxes_->records().drop_grant(run);  // one that is left ends with the run's prompt
}

Result<Models::Way> Models::find(const std::string& token, const std::string& address) const {
    const Error unknown{ErrorKind::kUnauthorized, 0, "the token is of no run of this box, or its run has ended"};
    const auto grant = by_hash_.find(secret_hash(token));
    if (grant == by_hash_.end()) return unknown;
    const auto box = boxes_->find_of_any(grant->second.box);
    if (!box.ok() || to_string(netns::Ipv4{box.value()->record.address}) != address) return unknown;
    const ModelProvider* const provider = find_provider(grant->second.provider);
    std::string key = TRY(key_for(*box.value(), grant->second.provider));
    if (provider == nullptr || key.empty()) {
        return Error{ErrorKind::kForbidden, 0, "there is no key for " + grant->second.provider + " any more"};
    }
    return Way{provider, std::move(key), box.value()->record.customer};
}

Result<const ModelProvider*> Models::provider(const std::string& name) const {
    const ModelProvider* const found = find_provider(name);
    if (found != nullptr) return found;
    std::string known;
    for (const ModelProvider& each : config_->models) known += (known.empty() ? "" : ", ") + each.name;
    return Error{ErrorKind::kNotFound, 0, "provider: \"" + name + "\" is not known; there are " + known};
}

const ModelProvider* Models::find_provider(const std::string& name) const {
    const auto& all = config_->models;
    const auto found = std::find_if(all.begin(), all.end(), [&name](const auto& each) { return each.name == name; });
    return found == all.end() ? nullptr : &*found;
}

// The nearest one: the box's own, its customer's, the operator's.
Result<std::string> Models::key_for(const Box& box, const std::string& provider) const {
    const AgentRecord agent = TRY(boxes_->records().agent(box.record.id));
    if (!agent.api_key.empty()) return agent.api_key;
    for (const ModelKeyRecord& kept : TRY(boxes_->records().model_keys(box.record.customer))) {
        if (kept.provider == provider) return kept.key;
    }
    const auto own = own_keys_.find(provider);
    return own == own_keys_.end() ? std::string() : own->second;
}

}  // namespace hutch::daemon
