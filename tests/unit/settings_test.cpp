#include "daemon/settings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "daemon/options.h"
#include "daemon/secret.h"
#include "daemon/trusted_file.h"

namespace hutch::daemon {
namespace {

class SettingsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/hutch-settings-XXXXXX";
        directory_ = mkdtemp(name);
        file_ = directory_ + "/hutchd.toml";
        write("");
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    void write(const std::string& text) const {
        std::ofstream(file_) << text;
        chmod(file_.c_str(), 0600);
    }
    [[nodiscard]] Settings read(std::vector<const char*> arguments = {}) const {
        arguments.push_back("--config");
        arguments.push_back(file_.c_str());
        return read_settings(arguments);
    }
    /// The one thing that is wrong with a file of this text, without the path before it.
    [[nodiscard]] std::string problem_in(const std::string& text) const {
        write(text);
        const Settings settings = read();
        if (settings.problems.size() != 1) return std::to_string(settings.problems.size()) + " problems";
        const std::string& problem = settings.problems.front();
        return problem.starts_with(file_ + ":") ? problem.substr(file_.size() + 1) : problem;
    }
    [[nodiscard]] std::string problem_of(const std::vector<const char*>& arguments) const {
        const Settings settings = read(arguments);
        return settings.problems.size() == 1 ? settings.problems.front()
                                             : std::to_string(settings.problems.size()) + " problems";
    }

    std::string directory_;
    std::string file_;
};

TEST_F(SettingsTest, TheCommandLineWinsOverTheFileAndTheFileOverTheDefaults) {
    write(
        "max_boxes = 12\nlisten = \"127.0.0.1:80\"\nstore_size = \"50G\"\nprivate_webhooks = true\ncpu_hour_usd = "
        "0.25\n");
    const Settings settings = read({"--max_boxes=7", "--socket", "/x y"});
    EXPECT_TRUE(settings.problems.empty());
    EXPECT_EQ(settings.config.max_boxes, 7U);
    EXPECT_EQ(settings.config.listen, "127.0.0.1:80");
    EXPECT_EQ(settings.config.store_size, 50ULL << 30U);
    EXPECT_TRUE(settings.config.private_webhooks);
    EXPECT_EQ(settings.config.cpu_hour_usd, 0.25);
    EXPECT_EQ(settings.config.socket, "/x y");
    EXPECT_EQ(settings.config.workers, 4U);
}

TEST_F(SettingsTest, AnUnknownOptionIsRefusedWithItsLineAndTheNearestName) {
    EXPECT_EQ(problem_in("\n# x\nlisen = \"x\"\n"), "3: unknown option 'lisen'; did you mean 'listen'?");
    EXPECT_EQ(problem_in("max-boxes = 1"), "1: unknown option 'max-boxes'; did you mean 'max_boxes'?");
    EXPECT_EQ(problem_in("colour = \"red\""), "1: unknown option 'colour'; see hutchd --help");
    EXPECT_EQ(problem_in("config = \"x\""), "1: unknown option 'config'; see hutchd --help");
}

TEST_F(SettingsTest, ABadValueIsRefusedWithItsLineAndWhatIsAllowed) {
    EXPECT_EQ(problem_in("pool = 257"), "1: pool must be a whole number from 0 to 256, not '257'");
    EXPECT_EQ(problem_in("pool = -1"), "1: pool must be a whole number from 0 to 256, not '-1'");
    EXPECT_EQ(problem_in("pool = 1.5"), "1: pool must be a whole number from 0 to 256, not '1.5'");
    EXPECT_EQ(problem_in("pool = 99999999999"), "1: pool must be a whole number from 0 to 256, not '99999999999'");
    EXPECT_EQ(problem_in("pool = \"8\""), "1: pool must be a whole number from 0 to 256, without quotes, not '8'");
    EXPECT_EQ(problem_in("listen = 80"),
              "1: listen must be ADDRESS:PORT, for example 127.0.0.1:8080, in quotes, not '80'");
    for (const char* const bad :
         {"80", ":80", "localhost:80", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:8x", "1.2.3.4"}) {
        EXPECT_NE(problem_in("listen = '" + std::string(bad) + "'").find("listen must be ADDRESS:PORT"),
                  std::string::npos)
            << bad;
    }
    EXPECT_EQ(problem_in("private_webhooks = 1"), "1: private_webhooks must be true or false, without quotes, not '1'");
    EXPECT_EQ(problem_in("cpu_hour_usd = -0.1"), "1: cpu_hour_usd must be a number that is not negative, not '-0.1'");
    EXPECT_EQ(problem_in("log_format = 'xml'"), "1: log_format must be auto, text or json, not 'xml'");
    EXPECT_EQ(problem_in("state_dir = 'state'"), "1: state_dir must be an absolute path, not 'state'");
    for (const char* const bad : {"0", "-1G", "5X", "5GG", "G", "99999999999P", "5 G"}) {
        EXPECT_NE(problem_in("store_size = '" + std::string(bad) + "'").find("store_size must be a size"),
                  std::string::npos)
            << bad;
    }
    for (const char* const bad : {"198.18.0.1/16", "10.0.0.0/7", "10.0.0.0/30", "x"}) {
        EXPECT_NE(problem_in("network = '" + std::string(bad) + "'").find("network must be a range"), std::string::npos)
            << bad;
    }
    for (const char* const bad : {"Hutch", "toolong", "1x", "a-b"}) {
        EXPECT_NE(problem_in("name = '" + std::string(bad) + "'").find("name must be 1 to 6"), std::string::npos)
            << bad;
    }
    for (const char* const bad : {"github.com", "https://x/", "https://me:pw@x"}) {
        EXPECT_NE(problem_in("github_url = '" + std::string(bad) + "'").find("github_url must be an address"),
                  std::string::npos)
            << bad;
    }
}

TEST_F(SettingsTest, NoOptionMayBeEmpty) {
    Config config;
    for (const Setting& option : options_of(config)) {
        EXPECT_FALSE(option.set("")) << option.name;
        EXPECT_NE(problem_in(option.name + " = ''").find(option.name + " must be "), std::string::npos) << option.name;
    }
}

TEST_F(SettingsTest, AnOptionStandsOnce) {
    EXPECT_EQ(problem_in("pool = 1\npool = 1"), "2: 'pool' was set in " + file_ + ":1 already");
    write("");
    EXPECT_EQ(problem_of({"--pool", "1", "--pool=2"}), "--pool: is given twice");
    EXPECT_EQ(read({"--config", file_.c_str()}).problems.at(0), "--config: is given twice");
}

TEST_F(SettingsTest, TheCommandLineIsRefusedWithOptionAndValue) {
    EXPECT_EQ(problem_of({"--pool", "many"}), "--pool: must be a whole number from 0 to 256, not 'many'");
    EXPECT_EQ(problem_of({"--lisen=x"}), "unknown option '--lisen'; did you mean '--listen'?");
    EXPECT_EQ(problem_of({"--private_webhooks=yes"}), "--private_webhooks: must be true or false, not 'yes'");
    EXPECT_EQ(problem_of({"run"}), "unknown command 'run'; see hutchd --help");
    EXPECT_EQ(problem_of({"-x"}), "unknown command '-x'; see hutchd --help");
    EXPECT_EQ(problem_of({"doctor", "check-config"}), "'check-config': one command at a time");
    const std::vector<const char*> last = {"--pool"};
    EXPECT_EQ(read_settings(last).problems.at(0), "--pool: needs a value");
    EXPECT_TRUE(read({"--private_webhooks"}).config.private_webhooks);
    EXPECT_FALSE(read({"--private_webhooks=false"}).config.private_webhooks);
}

TEST_F(SettingsTest, EveryProblemIsTold) {
    write("lisen = 1\npool = 300\n[x]\n");
    EXPECT_EQ(read({"--workers", "0"}).problems.size(), 4U);
}

TEST_F(SettingsTest, AFileThatOthersMayWriteIsRefused) {
    for (const mode_t mode : {0620, 0602, 0666}) {
        chmod(file_.c_str(), mode);
        EXPECT_EQ(problem_of({}), "the configuration: " + file_ + " may be written by others; chmod go-w it");
    }
    chmod(file_.c_str(), 0644);
    EXPECT_TRUE(read().problems.empty());
    chmod(directory_.c_str(), 0777);
    EXPECT_NE(problem_of({}).find("others may replace it"), std::string::npos);
    chmod(directory_.c_str(), 0700);
    const std::vector<const char*> absent = {"--config", "/nowhere.toml"};
    EXPECT_NE(read_settings(absent).problems.at(0).find("/nowhere.toml: No such file"), std::string::npos);
    if (geteuid() != 0) return;
    ASSERT_EQ(chown(file_.c_str(), 1000, 0), 0);
    EXPECT_EQ(problem_of({}), "the configuration: " + file_ + " belongs to user 1000; chown root it");
    ASSERT_EQ(chown(file_.c_str(), 0, 0), 0);
    ASSERT_EQ(chown(directory_.c_str(), 1000, 0), 0);
    EXPECT_NE(problem_of({}).find("belongs to user 1000, who may replace it"), std::string::npos);
}

TEST_F(SettingsTest, AFileOfSecretsIsClosedToOthers) {
    write("secret");
    ASSERT_TRUE(read_secret("key", file_).ok());
    for (const mode_t mode : {0640, 0604, 0620}) {
        chmod(file_.c_str(), mode);
        EXPECT_EQ(read_secret("key", file_).error().message, "key: " + file_ + " is open to others; chmod 600 it");
    }
    chmod(file_.c_str(), 0640);
    EXPECT_TRUE(read_trusted(file_, kEverybodyMayLook).ok());
    const std::string fifo = directory_ + "/fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_EQ(read_secret("key", fifo).error().message, "key: " + fifo + " is not a regular file");
}

TEST_F(SettingsTest, WhatIsInForceIsToldAndMayBeReadAgain) {
    write("pool = 3\nanthropic_key_file = \"/etc/hutch/anthropic\"\n");
    Settings settings = read({"--workers", "5"});
    const std::string all = describe(settings);
    EXPECT_NE(all.find("pool = 3  # " + file_ + ":1\n"), std::string::npos);
    EXPECT_NE(all.find("workers = 5  # command line\n"), std::string::npos);
    EXPECT_NE(all.find("max_boxes = 10000  # default\n"), std::string::npos);
    EXPECT_NE(all.find("# listen is not set\n"), std::string::npos);
    write(all);
    Settings again = read();
    EXPECT_TRUE(again.problems.empty());
    EXPECT_EQ(again.config.pool, 3U);
    EXPECT_EQ(again.config.workers, 5U);
    EXPECT_EQ(again.config.models[0].key_file, "/etc/hutch/anthropic");
}

TEST_F(SettingsTest, TheExampleFileIsMadeFromTheOptions) {
    const auto kept = read_file_at(AT_FDCWD, EXAMPLE_CONFIG);
    ASSERT_TRUE(kept.ok()) << kept.error().message;
    EXPECT_EQ(kept.value(), example_config()) << "hutchd example-config > systemd/hutchd.toml.example";
    Config config;
    for (const Setting& option : options_of(config)) {
        EXPECT_NE(kept.value().find("\n#" + option.name + " = "), std::string::npos) << option.name;
        EXPECT_NE(help_text().find("--" + option.name), std::string::npos) << option.name;
    }
}

// What is commented out is right as it stands.
TEST_F(SettingsTest, TheExampleFileHoldsTheDefaults) {
    std::string text = example_config();
    for (size_t at = 0; (at = text.find("\n#", at)) != std::string::npos; ++at) {
        if (text[at + 2] != ' ') text.erase(at + 1, 1);
    }
    std::string set;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("# not set") == std::string::npos) set += line + "\n";
    }
    write(set);
    Settings settings = read();
    EXPECT_TRUE(settings.problems.empty());
    Settings defaults;
    EXPECT_GT(settings.origins.size(), 20U);
    settings.origins.clear();
    EXPECT_EQ(describe(settings), describe(defaults));
}

}  // namespace
}  // namespace hutch::daemon
