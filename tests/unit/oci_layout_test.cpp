#include "daemon/wire/oci_layout.h"

#include <gtest/gtest.h>

namespace hutch::daemon::oci {
namespace {

TEST(OciLayout, NamesAreThoseThatEveryProgramTakes) {
    EXPECT_EQ(repository_name("debian"), "debian");
    EXPECT_EQ(repository_name("My_App.2"), "my_app.2");
    EXPECT_EQ(repository_name("a..b__c"), "a-b-c");
    EXPECT_EQ(repository_name("-.x.-"), "x");
    EXPECT_EQ(repository_name("\xff\n"), "image");
    EXPECT_EQ(repository_name(std::string(1000, 'n')).size(), 200U);
    EXPECT_EQ(tag_name("deps-installed"), "deps-installed");
    EXPECT_EQ(tag_name("two words\n"), "two-words-");
    EXPECT_EQ(tag_name("../x"), "x") << "never a first period or hyphen";
    EXPECT_EQ(tag_name(""), "latest");
    EXPECT_EQ(tag_name("..."), "latest");
    EXPECT_EQ(tag_name(std::string(1000, 'n')).size(), 128U);
}

TEST(OciLayout, ReferencesStayWhatTheyAre) {
    EXPECT_EQ(reference_name("debian"), "debian:latest");
    EXPECT_EQ(reference_name("app:1.2"), "app:1.2");
    EXPECT_EQ(reference_name("My App"), "my-app:latest");
    EXPECT_EQ(reference_name("registry.example:5000/team/app"), "registry.example:5000/team/app:latest");
    EXPECT_EQ(reference_name("team/app:v1@sha256:00"), "team/app:v1");
    EXPECT_EQ(containerd_name("debian:latest"), "docker.io/library/debian:latest");
    EXPECT_EQ(containerd_name("team/app:1"), "docker.io/team/app:1");
    EXPECT_EQ(containerd_name("localhost/app:1"), "localhost/app:1");
    EXPECT_EQ(containerd_name("registry.example:5000/app:1"), "registry.example:5000/app:1");
}

TEST(OciLayout, DockersManifestIsOfOneImage) {
    EXPECT_EQ(docker_manifest("blobs/sha256/c", "app:1", {"blobs/sha256/l"}),
              R"([{"Config":"blobs/sha256/c","Layers":["blobs/sha256/l"],"RepoTags":["app:1"]}])");
    EXPECT_EQ(blob_path("sha256:00"), "blobs/sha256/00");
}

}  // namespace
}  // namespace hutch::daemon::oci
