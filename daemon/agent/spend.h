#pragma once

#include <map>
#include <string>

#include "daemon/agent/token_scan.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

/// How many tokens of models each customer has used today (by UTC), by what the providers' answers tell: an agent's
/// program is in the box, and can say what it likes. Event loop thread only.
class Spend {
  public:
    static Result<Spend> load(Records& records);

    [[nodiscard]] int64_t today(const std::string& customer) const;
    void add(const std::string& customer, int64_t tokens);

  private:
    explicit Spend(Records& records) : records_(&records) {}

    Records* records_;
    std::map<std::string, TokenRecord> used_;  ///< by customer, of the last day it used any
};

/// One call of a model, counted when it is over, however it ends.
class SpendOfCall {
  public:
    SpendOfCall(Spend& spend, std::string customer, size_t sent)
        : spend_(spend), customer_(std::move(customer)), bytes_(sent) {}
    SpendOfCall(const SpendOfCall&) = delete;
    SpendOfCall& operator=(const SpendOfCall&) = delete;
    ~SpendOfCall();

    /// The provider has taken it, and answers.
    void begin() { answered_ = true; }
    void take(std::string_view piece);

  private:
    Spend& spend_;
    std::string customer_;
    size_t bytes_;  ///< both ways
    bool answered_ = false;
    TokenScan scan_;
};

}  // namespace hutch::daemon
