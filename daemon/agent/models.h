#pragma once

#include <map>
#include <string>

#include "daemon/agent/harness.h"
#include "daemon/box/manager.h"
#include "daemon/config.h"

namespace hutch::daemon {

/// The operator's keys by provider, from the files that the configuration names. kInvalid for one that others may look
/// into, or that has none.
Result<std::map<std::string, std::string>> read_model_keys(const Config& config);

/// The ways of agents to their models. A run is given a token that is good for its own box, for as long as it runs, and
/// for calls of models at one provider; the gateway (api/models.cpp) takes that off and puts on the key, which thus
/// never enters the box. Event loop thread only.
class Models {
  public:
    /// Reads the operator's key files, kInvalid for one that is open to others, and what an earlier daemon has given.
    static Result<Models> load(Manager& boxes, const Config& config);

    /// Nothing where there is no key for the model's provider, or where Hutch does not know the provider: then the
    /// program finds what it needs in the box, or says so.
    Result<std::optional<ModelAccess>> open(const std::string& run, const Box& box, const AgentRecord& agent,
                                            const Harness& harness);
    void close(const std::string& run);

    /// Whom a caller with this token may call, and as whom.
    struct Way {
        const ModelProvider* provider;
        std::string key;
        std::string customer;  ///< whose box it is
    };
    /// kUnauthorized for a token that is none, or another box's; kForbidden when the key has been taken away since.
    [[nodiscard]] Result<Way> find(const std::string& token, const std::string& address) const;

    /// kNotFound, naming those there are.
    [[nodiscard]] Result<const ModelProvider*> provider(const std::string& name) const;

  private:
    Models(Manager& boxes, const Config& config) : boxes_(&boxes), config_(&config) {}
    [[nodiscard]] const ModelProvider* find_provider(const std::string& name) const;
    [[nodiscard]] Result<std::string> key_for(const Box& box, const std::string& provider) const;

    Manager* boxes_;
    const Config* config_;
    std::string base_url_;
    std::map<std::string, std::string> own_keys_;      ///< by provider: the operator's
    std::map<std::string, ModelGrantRecord> by_hash_;  ///< of the token
};

}  // namespace hutch::daemon
