"""The bus between what happens and who hears of it."""

from app.events import DeviceDeleted, EventBus, MinerSeen


def test_each_listener_of_the_class_hears_it_in_order():
    bus, heard = EventBus(), []
    bus.subscribe(DeviceDeleted, lambda event: heard.append(("first", event.mac)))
    bus.subscribe(DeviceDeleted, lambda event: heard.append(("second", event.mac)))
    bus.subscribe(MinerSeen, lambda event: heard.append(("other", event.mac)))
    bus.publish(DeviceDeleted("a"))
    assert heard == [("first", "a"), ("second", "a")]


def test_nobody_need_listen():
    EventBus().publish(DeviceDeleted("a"))


def test_a_broken_listener_is_logged_and_hurts_nobody(caplog):
    bus, heard = EventBus(), []
    bus.subscribe(DeviceDeleted, lambda event: 1 / 0)
    bus.subscribe(DeviceDeleted, heard.append)
    bus.publish(DeviceDeleted("a"))
    assert heard == [DeviceDeleted("a")]
    (record,) = caplog.records
    assert (record.levelname, record.event) == ("ERROR", "DeviceDeleted")
    caplog.clear()
