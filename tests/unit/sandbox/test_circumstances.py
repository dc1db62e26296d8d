import pytest

from ramet._sandbox.planning.circumstances import container_of


@pytest.mark.parametrize(
    ("memberships", "container"),
    [
        ("0::/\n", ""),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ""),
        ("0::/system.slice/docker.service\n", ""),
        ("0::/system.slice/docker-0123456789ab.scope\n", "docker"),
        ("12:pids:/docker/0123456789ab\n0::/\n", "docker"),
        ("0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-01.scope\n", "kubernetes"),
        ("11:memory:/kubepods/besteffort/pod01/01\n", "kubernetes"),
        ("0::/user.slice/user@1000.service/user.slice/libpod-01.scope/container\n", "podman"),
        ("0::/lxc/web\n", "lxc"),
        ("0::/lxc.payload.web\n", "lxc"),
    ],
)
def test_a_container_is_known_by_its_cgroup(memberships: str, container: str) -> None:
    """Each engine has its own names; its daemon on the host is in none of its containers."""
    assert container_of(memberships) == container
