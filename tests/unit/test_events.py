"""The event bus between publishers and subscribers."""

from app.events import DeviceDeleted, EventBus, MinerSeen


def test_subscribers_of_event_class_are_called_in_order():
    bus, received = EventBus(), []
    bus.subscribe(DeviceDeleted, lambda event: received.append(("first", event.mac)))
    bus.subscribe(DeviceDeleted, lambda event: received.append(("second", event.mac)))
    bus.subscribe(MinerSeen, lambda event: received.append(("other", event.mac)))
    bus.publish(DeviceDeleted("a"))
    assert received == [("first", "a"), ("second", "a")]


def test_publish_without_subscribers():
    EventBus().publish(DeviceDeleted("a"))


def test_failing_subscriber_is_logged_and_others_are_called(caplog):
    bus, received = EventBus(), []
    bus.subscribe(DeviceDeleted, lambda event: 1 / 0)
    bus.subscribe(DeviceDeleted, received.append)
    bus.publish(DeviceDeleted("a"))
    assert received == [DeviceDeleted("a")]
    (record,) = caplog.records
    assert (record.levelname, record.event) == ("ERROR", "DeviceDeleted")
    caplog.clear()
