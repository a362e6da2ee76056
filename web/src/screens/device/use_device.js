// The whole record of a device, kept current by `device_update`.
import { useEffect } from "preact/hooks";
import { get } from "../../data/api.js";
import { keepSubscription, listen } from "../../data/socket.js";
import { useLoad } from "../../data/use_load.js";

/** @param {string} mac */
export function useDevice(mac) {
  const { data, error, reload, setData } = useLoad((signal) => get(`devices/imprint/${mac}`, {}, signal).then((answer) => answer.data), [mac]);
  useEffect(() => {
    const ends = [
      listen("device_update", (device) => device.mac === mac && setData(() => device)),
      keepSubscription("subscribeDevice", "unsubscribeDevice", { mac }),
    ];
    return () => ends.forEach((end) => end());
  }, [mac]);
  return { device: data, error, reload };
}
